/* Product of two int16 tensors, either broadcast. */
#include "mcp_elementwise_wide.h"

static int32_t mul(const mcp_elementwise *op, int32_t a, int32_t b)
{
    (void)op;
    return a * b;
}

void mcp_mul_s16(const mcp_elementwise *op, const int16_t *a, const int16_t *b, int16_t *output)
{
    mcp_for_each_wide_pair(op, a, b, output, mul);
}
