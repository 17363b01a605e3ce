/* int8 to int16. */
#include "mcp_kernels.h"
#include "mcp_wide.h"

void mcp_quantize_s8_s16(const mcp_quantized *op, const int8_t *input, int16_t *output)
{
    MCP_ROLLED
    for (int32_t i = 0; i < op->elements; i++) {
        const int32_t scaled = mcp_scale(input[i] + op->input_offset, op->multiplier, op->shift);
        output[i] = mcp_clamp_wide(scaled, -32768, 32767);
    }
}
