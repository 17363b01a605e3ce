/* One input's part of a channel-wise concatenation. */
#include "mcp_arithmetic.h"
#include "mcp_kernels.h"

void mcp_concat_s8(const mcp_concat *op, const int8_t *input, int8_t *output)
{
    output += op->offset;
    MCP_ROLLED
    for (int32_t i = 0; i < op->hw; i++) {
        MCP_ROLLED
        for (int32_t c = 0; c < op->in_c; c++) {
            output[c] = *input++;
            MCP_KEEP_LOOP();
        }
        output += op->out_c;
    }
}
