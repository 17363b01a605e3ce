/* Fully connected layer; the bias holds the input offset. */
#ifndef MCP_FULLY_CONNECTED_H
#define MCP_FULLY_CONNECTED_H

#include "mcp_channels.h"
#include "mcp_kernels.h"

static inline void mcp_run_fully_connected(const mcp_fully_connected *op, const int8_t *input, int8_t *output,
                                           void *scratch, int32_t shared)
{
    const int32_t depth = op->in_c;
    const int8_t *w = op->weight;
    (void)scratch;
    MCP_ROLLED
    for (int32_t c = 0; c < op->out_c; c++) {
        const int32_t word = op->bias[c];
        int32_t sum = shared ? mcp_word_bias(word) : word;
        MCP_ROLLED
        for (const int8_t *x = input; x < input + depth; x++) {
            sum += *x * *w++;
        }
        const int32_t channel = op->per_channel ? c : 0;
        const int32_t multiplier = shared ? *op->multiplier : op->multiplier[channel];
        const int32_t shift = shared ? mcp_word_shift(word) : op->shift[channel];
        output[c] = mcp_requantize(sum, multiplier, shift, op->output_offset, op->clamp_min, op->clamp_max);
    }
}

#endif
