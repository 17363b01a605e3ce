/* Product of two tensors, either broadcast. */
#include "mcp_arithmetic.h"
#include "mcp_kernels.h"

void mcp_mul_s8(const mcp_elementwise *op, const int8_t *a, const int8_t *b, int8_t *output)
{
    MCP_ROLLED
    for (int32_t i = 0; i < op->hw; i++) {
        const int8_t *pa = a, *pb = b;
        MCP_ROLLED
        for (int32_t c = 0; c < op->channels; c++) {
            const int32_t product = (*pa + op->a.offset) * (*pb + op->b.offset);
            *output++ = mcp_requantize(product, op->multiplier, op->shift, op->output_offset, op->clamp_min,
                                       op->clamp_max);
            pa += op->a.stride_c;
            pb += op->b.stride_c;
        }
        a += op->a.stride_hw;
        b += op->b.stride_hw;
    }
}
