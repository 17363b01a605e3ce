/* All output channels of two pixels whose inputs are gathered as words * 4 16-bit numbers each.
 * Two channels x two pixels at a time share loads: a word of weights holds two of either channel,
 * alternating. An odd last channel has a row of its own.  A pixel without a partner is passed as a and as b.
 */
#include "mcp_dsp.h"
#include "mcp_kernels.h"

void mcp_rows_s8_dsp(const mcp_conv2d *op, int32_t words, const int16_t *a, const int16_t *b, int8_t *out_a,
                     int8_t *out_b)
{
    const int8_t *w = op->weight;
    MCP_ROLLED
    for (int32_t c = 0; c < op->out_c; c += 2) {
        int32_t last = c + 1;
        int32_t sum_a = op->bias[c], sum_b = sum_a, next_a = 0, next_b = 0;
        if (last < op->out_c) {
            const int16_t *pa = a, *pb = b;
            int32_t left = words;
            next_a = next_b = op->bias[last];
            MCP_ROLLED
            do {
                uint32_t word = mcp_load_word(w);
                uint32_t x = mcp_load_word(pa);
                uint32_t y = mcp_load_word(pb);
                uint32_t k = mcp_even_bytes(word);
                uint32_t next = mcp_odd_bytes(word);
                sum_a = mcp_dot_pair(k, x, sum_a);
                next_a = mcp_dot_pair(next, x, next_a);
                sum_b = mcp_dot_pair(k, y, sum_b);
                next_b = mcp_dot_pair(next, y, next_b);
                word = mcp_load_word(w + 4);
                x = mcp_load_word(pa + 2);
                y = mcp_load_word(pb + 2);
                k = mcp_even_bytes(word);
                next = mcp_odd_bytes(word);
                sum_a = mcp_dot_pair(k, x, sum_a);
                next_a = mcp_dot_pair(next, x, next_a);
                sum_b = mcp_dot_pair(k, y, sum_b);
                next_b = mcp_dot_pair(next, y, next_b);
                w += 8;
                pa += 4;
                pb += 4;
            } while (--left != 0);
        } else {
            sum_a = mcp_dot_row(w, a, words, sum_a);
            sum_b = mcp_dot_row(w, b, words, sum_b);
            last = c;
        }
        MCP_ROLLED
        for (int32_t i = c; i <= last; i++) {
            const int32_t multiplier = op->multiplier[i], shift = op->shift[i], offset = op->output_offset;
            out_a[i] = mcp_requantize_wide(sum_a, multiplier, shift, offset);
            out_b[i] = mcp_requantize_wide(sum_b, multiplier, shift, offset);
            sum_a = next_a;
            sum_b = next_b;
        }
    }
}
