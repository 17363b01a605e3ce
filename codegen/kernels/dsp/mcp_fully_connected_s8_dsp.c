/* Fully connected layer: the input is widened once in scratch, then read by four rows of weights at a time.
 * A word of weights holds two of rows 0 and 1, alternating, the next one two of rows 2 and 3.  The rows that
 * are left over, up to three, come one by one. */
#include "mcp_dsp.h"
#include "mcp_kernels.h"

void mcp_fully_connected_s8_dsp(const mcp_fully_connected *op, const int8_t *input, int8_t *output,
                                void *scratch)
{
    const int32_t words = (op->in_c + 3) / 4;
    int16_t *const wide = scratch;
    const int8_t *w = op->weight;
    int32_t count;
    mcp_clear(wide + 4 * words - 4, 4);
    mcp_widen(wide, input, op->in_c, op->input_offset);
    MCP_ROLLED
    for (int32_t c = 0; c < op->out_c; c += count) {
        int32_t sums[4];
        if (c + 4 <= op->out_c) {
            int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
            const int16_t *x = wide;
            int32_t left = words;
            MCP_ROLLED
            do {
                uint32_t pair = mcp_load_word(x);
                uint32_t upper = mcp_load_word(w);
                uint32_t lower = mcp_load_word(w + 4);
                s0 = mcp_dot_pair(mcp_even_bytes(upper), pair, s0);
                s1 = mcp_dot_pair(mcp_odd_bytes(upper), pair, s1);
                s2 = mcp_dot_pair(mcp_even_bytes(lower), pair, s2);
                s3 = mcp_dot_pair(mcp_odd_bytes(lower), pair, s3);
                pair = mcp_load_word(x + 2);
                upper = mcp_load_word(w + 8);
                lower = mcp_load_word(w + 12);
                s0 = mcp_dot_pair(mcp_even_bytes(upper), pair, s0);
                s1 = mcp_dot_pair(mcp_odd_bytes(upper), pair, s1);
                s2 = mcp_dot_pair(mcp_even_bytes(lower), pair, s2);
                s3 = mcp_dot_pair(mcp_odd_bytes(lower), pair, s3);
                w += 16;
                x += 4;
            } while (--left != 0);
            sums[0] = s0;
            sums[1] = s1;
            sums[2] = s2;
            sums[3] = s3;
            count = 4;
        } else {
            sums[0] = mcp_dot_row(w, wide, words, 0);
            w += 4 * words;
            count = 1;
        }
        MCP_ROLLED
        for (int32_t i = 0; i < count; i++) {
            const int32_t channel = op->per_channel ? c + i : 0;
            const int32_t sum = sums[i] + op->bias[c + i];
            output[c + i] =
                mcp_requantize_wide(sum, op->multiplier[channel], op->shift[channel], op->output_offset);
        }
    }
    mcp_clamp_all(output, output + op->out_c, op->clamp_min, op->clamp_max);
}
