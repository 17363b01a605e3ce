/* Spatial padding.  Writes in memory order: the output may start before the input and grow into it. */
#include "mcp_arithmetic.h"
#include "mcp_kernels.h"

static inline int8_t *fill(int8_t *output, int32_t count, int8_t value)
{
    MCP_ROLLED
    for (int32_t i = 0; i < count; i++) {
        *output++ = value;
        MCP_KEEP_LOOP();
    }
    return output;
}

void mcp_pad_s8(const mcp_pad *op, const int8_t *input, int8_t *output)
{
    const int32_t line = op->in_w * op->channels;
    const int32_t left = op->pad_left * op->channels;
    const int32_t right = op->pad_right * op->channels;
    output = fill(output, op->pad_top * (left + line + right), op->value);
    MCP_ROLLED
    for (int32_t y = 0; y < op->in_h; y++) {
        output = fill(output, left, op->value);
        MCP_ROLLED
        for (int32_t i = 0; i < line; i++) {
            *output++ = *input++;
            MCP_KEEP_LOOP();
        }
        output = fill(output, right, op->value);
    }
    (void)fill(output, op->pad_bottom * (left + line + right), op->value);
}
