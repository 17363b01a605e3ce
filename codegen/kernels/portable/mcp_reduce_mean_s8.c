/* Mean or sum over some axes.  The multiplier holds the division by their size, and may be below 2^30. */
#include "mcp_arithmetic.h"
#include "mcp_kernels.h"
#include "mcp_reduce.h"

static inline int32_t add(int32_t so_far, int32_t value)
{
    return so_far + value;
}

void mcp_reduce_mean_s8(const mcp_reduce_mean *op, const int8_t *input, int8_t *output)
{
    const mcp_reduction *const walk = &op->walk;
    MCP_ROLLED
    for (int32_t o = walk->outer; o > 0; o--) {
        const int8_t *in = input;
        MCP_ROLLED
        for (int32_t i = walk->inner; i > 0; i--) {
            const int32_t sum = mcp_join_all(walk, in, op->bias, add);
            const int32_t scaled = mcp_scale_any(sum, op->multiplier, op->shift);
            *output++ = mcp_clamp_sum(scaled, op->output_offset, -128, 127);
            in += walk->inner_stride;
        }
        input += walk->outer_stride;
    }
}
