/* Largest or smallest value over some axes. */
#include "mcp_arithmetic.h"
#include "mcp_kernels.h"
#include "mcp_reduce.h"

static inline int32_t larger(int32_t so_far, int32_t value)
{
    return value > so_far ? value : so_far;
}

static inline int32_t smaller(int32_t so_far, int32_t value)
{
    return value < so_far ? value : so_far;
}

void mcp_reduce_extreme_s8(const mcp_reduce_extreme *op, const int8_t *input, int8_t *output)
{
    const mcp_reduction *const walk = &op->walk;
    MCP_ROLLED
    for (int32_t o = walk->outer; o > 0; o--) {
        const int8_t *in = input;
        MCP_ROLLED
        for (int32_t i = walk->inner; i > 0; i--) {
            *output++ = (int8_t)(op->smallest ? mcp_join_all(walk, in, 127, smaller)
                                              : mcp_join_all(walk, in, -128, larger));
            in += walk->inner_stride;
        }
        input += walk->outer_stride;
    }
}
