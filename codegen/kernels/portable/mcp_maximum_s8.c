/* The larger of two stored values, either operand broadcast. */
#include "mcp_arithmetic.h"
#include "mcp_elementwise.h"
#include "mcp_kernels.h"

static inline int8_t larger(const mcp_elementwise *op, int32_t a, int32_t b)
{
    (void)op;
    return (int8_t)(a > b ? a : b);
}

void mcp_maximum_s8(const mcp_elementwise *op, const int8_t *a, const int8_t *b, int8_t *output)
{
    mcp_for_each_pair(op, a, b, output, larger);
}
