/* Hyperbolic tangent of int16 values. */
#include "mcp_arithmetic.h"
#include "mcp_gates.h"
#include "mcp_kernels.h"

void mcp_tanh_values_s16(const mcp_quantized *op, const int16_t *input, int16_t *output)
{
    MCP_ROLLED
    for (int32_t i = 0; i < op->elements; i++) {
        output[i] = (int16_t)mcp_tanh_s16(input[i], op->multiplier, op->shift);
    }
}
