/* All output channels of two pixels whose inputs are gathered as words * 4 16-bit numbers each.
 * Two channels x two pixels at a time share loads.  An odd last channel is computed twice, and so is a pixel
 * that has no partner: the caller passes it as a and as b. */
#include "mcp_dsp.h"
#include "mcp_kernels.h"

void mcp_rows_s8_dsp(const mcp_conv2d *op, int32_t words, const int16_t *a, const int16_t *b, int8_t *out_a,
                     int8_t *out_b)
{
    const int8_t *w0 = op->weight;
    const int16_t *const end = a + 4 * words;
    MCP_ROLLED
    for (int32_t c = 0; c < op->out_c; c += 2) {
        const int32_t next = c + 1 < op->out_c ? c + 1 : c;
        const int8_t *w1 = next > c ? w0 + 4 * words : w0;
        const int16_t *pa = a, *pb = b;
        int32_t sum_a = op->bias[c], sum_b = sum_a;
        int32_t next_a = op->bias[next], next_b = next_a;
        MCP_ROLLED
        while (pa < end) {
            const uint32_t word0 = mcp_load_word(w0);
            const uint32_t word1 = mcp_load_word(w1);
            uint32_t x = mcp_load_word(pa);
            uint32_t k0 = mcp_even_bytes(word0);
            uint32_t k1 = mcp_even_bytes(word1);
            sum_a = mcp_dot_pair(k0, x, sum_a);
            next_a = mcp_dot_pair(k1, x, next_a);
            x = mcp_load_word(pb);
            sum_b = mcp_dot_pair(k0, x, sum_b);
            next_b = mcp_dot_pair(k1, x, next_b);
            k0 = mcp_odd_bytes(word0);
            k1 = mcp_odd_bytes(word1);
            x = mcp_load_word(pa + 2);
            sum_a = mcp_dot_pair(k0, x, sum_a);
            next_a = mcp_dot_pair(k1, x, next_a);
            x = mcp_load_word(pb + 2);
            sum_b = mcp_dot_pair(k0, x, sum_b);
            next_b = mcp_dot_pair(k1, x, next_b);
            w0 += 4;
            w1 += 4;
            pa += 4;
            pb += 4;
        }
        w0 = w1;
        MCP_ROLLED
        for (int32_t i = c; i <= next; i++) {
            const int32_t multiplier = op->multiplier[i], shift = op->shift[i];
            out_a[i] =
                mcp_requantize(sum_a, multiplier, shift, op->output_offset, op->clamp_min, op->clamp_max);
            out_b[i] =
                mcp_requantize(sum_b, multiplier, shift, op->output_offset, op->clamp_min, op->clamp_max);
            sum_a = next_a;
            sum_b = next_b;
        }
    }
}
