/* Sum of two tensors, either broadcast. */
#include "mcp_arithmetic.h"
#include "mcp_kernels.h"

#define HEADROOM 20 /* the operands are brought to a common scale with this many extra bits */

static inline int32_t rescale(const mcp_operand *operand, int32_t value)
{
    return mcp_scale((value + operand->offset) * (1 << HEADROOM), operand->multiplier, operand->shift);
}

void mcp_add_s8(const mcp_elementwise *op, const int8_t *a, const int8_t *b, int8_t *output)
{
    MCP_ROLLED
    for (int32_t i = 0; i < op->hw; i++) {
        const int8_t *pa = a, *pb = b;
        MCP_ROLLED
        for (int32_t c = 0; c < op->channels; c++) {
            const int32_t sum = rescale(&op->a, *pa) + rescale(&op->b, *pb);
            *output++ = mcp_requantize(sum, op->multiplier, op->shift, op->output_offset, op->clamp_min,
                                       op->clamp_max);
            pa += op->a.stride_c;
            pb += op->b.stride_c;
        }
        a += op->a.stride_hw;
        b += op->b.stride_hw;
    }
}
