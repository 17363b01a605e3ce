/* The loops of an operation on two tensors, either broadcast through zero strides. */
#ifndef MCP_ELEMENTWISE_H
#define MCP_ELEMENTWISE_H

#include "mcp_arithmetic.h"
#include "mcp_kernels.h"

typedef int8_t mcp_combine(const mcp_elementwise *op, int32_t a, int32_t b);

/* combine is a function of the including file: the compiler puts it into the loop. */
static inline void mcp_for_each_pair(const mcp_elementwise *op, const int8_t *a, const int8_t *b,
                                     int8_t *output, mcp_combine *combine)
{
    MCP_ROLLED
    for (int32_t i = 0; i < op->hw; i++) {
        const int8_t *pa = a, *pb = b;
        MCP_ROLLED
        for (int32_t c = 0; c < op->channels; c++) {
            *output++ = combine(op, *pa, *pb);
            pa += op->a.stride_c;
            pb += op->b.stride_c;
        }
        a += op->a.stride_hw;
        b += op->b.stride_hw;
    }
}

/* value * 2^headroom without its zero point, at the common scale of both operands. */
static inline int32_t mcp_rescale_operand(const mcp_operand *operand, int32_t value, int32_t headroom)
{
    return mcp_scale((value + operand->offset) * (1 << headroom), operand->multiplier, operand->shift);
}

#endif
