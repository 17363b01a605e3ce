/* Rectifier with a slope per element for negative values, the slopes broadcast. */
#include "mcp_arithmetic.h"
#include "mcp_elementwise.h"
#include "mcp_kernels.h"

/* The scaling of operand a is that of positive values, the scaling of the operation that of the products. */
static inline int8_t rectify(const mcp_elementwise *op, int32_t a, int32_t b)
{
    const int32_t value = a + op->a.offset;
    const int32_t sum = value >= 0 ? mcp_scale(value, op->a.multiplier, op->a.shift)
                                   : mcp_scale(value * (b + op->b.offset), op->multiplier, op->shift);
    return mcp_clamp_sum(sum, op->output_offset, -128, 127);
}

void mcp_prelu_s8(const mcp_elementwise *op, const int8_t *a, const int8_t *b, int8_t *output)
{
    mcp_for_each_pair(op, a, b, output, rectify);
}
