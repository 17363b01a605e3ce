/* Fully connected layer on int16 activations. */
#include "mcp_kernels.h"
#include "mcp_wide.h"

void mcp_fully_connected_s16(const mcp_fully_connected *op, const int16_t *input, int16_t *output,
                             void *scratch)
{
    const int32_t depth = op->in_c;
    const int8_t *w = op->weight;
    (void)scratch;
    MCP_ROLLED
    for (int32_t c = 0; c < op->out_c; c++) {
        const int32_t channel = op->per_channel ? c : 0;
        int64_t sum = op->bias[c];
        MCP_ROLLED
        for (const int16_t *x = input; x < input + depth; x++) {
            sum += *x * *w++;
        }
        output[c] = mcp_clamp_wide(mcp_scale_wide(sum, op->multiplier[channel], op->shift[channel]),
                                   op->clamp_min, op->clamp_max);
    }
}
