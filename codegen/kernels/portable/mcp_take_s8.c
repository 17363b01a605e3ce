/* Rows and columns by number: nearest neighbours, mirrored edges, gathering. */
#include "mcp_arithmetic.h"
#include "mcp_kernels.h"

void mcp_take_s8(const mcp_take *op, const int8_t *input, int8_t *output)
{
    MCP_ROLLED
    for (int32_t y = 0; y < op->out_h; y++) {
        const int8_t *const row = input + op->row[y] * op->row_stride;
        MCP_ROLLED
        for (int32_t x = 0; x < op->out_w; x++) {
            const int8_t *in = row + op->column[x] * op->channels;
            MCP_ROLLED
            for (int32_t c = op->channels; c > 0; c--) {
                *output++ = *in++;
                MCP_KEEP_LOOP();
            }
        }
    }
}
