/* int16 to int8. */
#include "mcp_kernels.h"
#include "mcp_wide.h"

void mcp_quantize_s16_s8(const mcp_quantized *op, const int16_t *input, int8_t *output)
{
    MCP_ROLLED
    for (int32_t i = 0; i < op->elements; i++) {
        const int32_t scaled = mcp_scale(input[i] + op->input_offset, op->multiplier, op->shift);
        output[i] = mcp_clamp(scaled + op->output_offset, -128, 127);
    }
}
