/* The loops of an operation on two int16 tensors, either broadcast through zero strides. */
#ifndef MCP_ELEMENTWISE_WIDE_H
#define MCP_ELEMENTWISE_WIDE_H

#include "mcp_kernels.h"
#include "mcp_wide.h"

typedef int32_t mcp_combine_wide(const mcp_elementwise *op, int32_t a, int32_t b);

/* combine gives what is then brought to the output's scale; the compiler puts it into the loop. */
static inline void mcp_for_each_wide_pair(const mcp_elementwise *op, const int16_t *a, const int16_t *b,
                                          int16_t *output, mcp_combine_wide *combine)
{
    MCP_ROLLED
    for (int32_t i = 0; i < op->hw; i++) {
        const int16_t *pa = a, *pb = b;
        MCP_ROLLED
        for (int32_t c = 0; c < op->channels; c++) {
            const int32_t scaled = mcp_scale(combine(op, *pa, *pb), op->multiplier, op->shift);
            *output++ = mcp_clamp_wide(scaled, op->clamp_min, op->clamp_max);
            pa += op->a.stride_c;
            pb += op->b.stride_c;
        }
        a += op->a.stride_hw;
        b += op->b.stride_hw;
    }
}

/* value * 2^15 at the common scale of both operands. */
static inline int32_t mcp_rescale_wide(const mcp_operand *operand, int32_t value)
{
    return mcp_scale(value * (1 << 15), operand->multiplier, operand->shift);
}

#endif
