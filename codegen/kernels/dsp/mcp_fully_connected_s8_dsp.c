/* Fully connected layer: the input is widened once in scratch, then read by four rows of weights at a time.
 * Where fewer rows are left, the last one stands in for those that are missing. */
#include "mcp_dsp.h"
#include "mcp_kernels.h"

void mcp_fully_connected_s8_dsp(const mcp_fully_connected *op, const int8_t *input, int8_t *output,
                                void *scratch)
{
    const int32_t words = (op->in_c + 3) / 4;
    int16_t *const wide = scratch;
    const int16_t *const end = wide + 4 * words;
    const int8_t *w3 = op->weight;
    mcp_clear(wide + 4 * words - 4, 4);
    mcp_widen(wide, input, op->in_c, op->input_offset);
    MCP_ROLLED
    for (int32_t c = 0; c < op->out_c; c += 4) {
        const int32_t rows = op->out_c - c < 4 ? op->out_c - c : 4;
        const int8_t *w0 = w3;
        const int8_t *w1 = rows > 1 ? w0 + 4 * words : w0;
        const int8_t *w2 = rows > 2 ? w1 + 4 * words : w1;
        int32_t sums[4] = {0, 0, 0, 0};
        int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
        w3 = rows > 3 ? w2 + 4 * words : w2;
        MCP_ROLLED
        for (const int16_t *x = wide; x < end; x += 4) {
            const uint32_t x01 = mcp_load_word(x);
            const uint32_t x23 = mcp_load_word(x + 2);
            uint32_t word = mcp_load_word(w0);
            s0 = mcp_dot_pair(mcp_even_bytes(word), x01, s0);
            s0 = mcp_dot_pair(mcp_odd_bytes(word), x23, s0);
            word = mcp_load_word(w1);
            s1 = mcp_dot_pair(mcp_even_bytes(word), x01, s1);
            s1 = mcp_dot_pair(mcp_odd_bytes(word), x23, s1);
            word = mcp_load_word(w2);
            s2 = mcp_dot_pair(mcp_even_bytes(word), x01, s2);
            s2 = mcp_dot_pair(mcp_odd_bytes(word), x23, s2);
            word = mcp_load_word(w3);
            s3 = mcp_dot_pair(mcp_even_bytes(word), x01, s3);
            s3 = mcp_dot_pair(mcp_odd_bytes(word), x23, s3);
            w0 += 4;
            w1 += 4;
            w2 += 4;
            w3 += 4;
        }
        sums[0] = s0;
        sums[1] = s1;
        sums[2] = s2;
        sums[3] = s3;
        MCP_ROLLED
        for (int32_t i = 0; i < rows; i++) {
            const int32_t channel = op->per_channel ? c + i : 0;
            const int32_t sum = sums[i] + op->bias[c + i];
            const int32_t scaled = mcp_scale(sum, op->multiplier[channel], op->shift[channel]);
            output[c + i] = mcp_clamp(scaled + op->output_offset, op->clamp_min, op->clamp_max);
        }
    }
}
