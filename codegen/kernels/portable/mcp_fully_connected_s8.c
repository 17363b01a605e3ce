/* Fully connected layer; the bias holds the input offset. */
#include "mcp_arithmetic.h"
#include "mcp_kernels.h"

void mcp_fully_connected_s8(const mcp_fully_connected *op, const int8_t *input, int8_t *output, void *scratch)
{
    const int32_t depth = op->in_c;
    const int8_t *w = op->weight;
    (void)scratch;
    MCP_ROLLED
    for (int32_t c = 0; c < op->out_c; c++) {
        const int32_t channel = op->per_channel ? c : 0;
        int32_t sum = op->bias[c];
        MCP_ROLLED
        for (const int8_t *x = input; x < input + depth; x++) {
            sum += *x * *w++;
        }
        output[c] = mcp_requantize(sum, op->multiplier[channel], op->shift[channel], op->output_offset,
                                   op->clamp_min, op->clamp_max);
    }
}
