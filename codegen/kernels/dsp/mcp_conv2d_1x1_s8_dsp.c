/* Pointwise convolution without padding, any stride: two pixels are widened in scratch, then all channels
 * computed. */
#include "mcp_dsp.h"
#include "mcp_kernels.h"

void mcp_conv2d_1x1_s8_dsp(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch)
{
    const int32_t depth = op->in_c;
    const int32_t words = (depth + 3) / 4;
    int8_t *const first = output;
    int16_t *const a = scratch;
    int16_t *const b = a + 4 * words;
    int16_t *pixel = a;
    mcp_clear(a, 8 * words);
    MCP_ROLLED
    for (int32_t y = 0; y < op->out_h; y++) {
        const int8_t *in = input + y * op->stride_h * op->in_w * depth;
        MCP_ROLLED
        for (int32_t x = 0; x < op->out_w; x++) {
            mcp_widen(pixel, in, depth, op->input_offset);
            in += op->stride_w * depth;
            if (pixel == a) {
                pixel = b;
            } else {
                mcp_rows_s8_dsp(op, words, a, b, output, output + op->out_c);
                output += 2 * op->out_c;
                pixel = a;
            }
        }
    }
    if (pixel == b) {
        mcp_rows_s8_dsp(op, words, a, a, output, output);
        output += op->out_c;
    }
    mcp_clamp_all(first, output, op->clamp_min, op->clamp_max);
}
