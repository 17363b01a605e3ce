/* Convolution, any window: the patches of two output pixels are gathered in scratch, then all channels
 * computed. */
#include "mcp_dsp.h"
#include "mcp_kernels.h"
#include "mcp_window.h"

static inline void gather(const mcp_conv2d *op, const int8_t *input, int32_t out_y, int32_t out_x,
                          int16_t *patch)
{
    const int32_t depth = op->in_c;
    const int32_t width = op->kernel_w * depth;
    const mcp_span y = mcp_clip(out_y * op->stride_h - op->pad_top, op->kernel_h, op->dilation_h, op->in_h);
    const mcp_span x = mcp_clip(out_x * op->stride_w - op->pad_left, op->kernel_w, op->dilation_w, op->in_w);
    /* Without dilation the taps of a row are neighbours in memory: one run. */
    const int32_t runs = op->dilation_w == 1 ? 1 : x.end - x.first;
    const int32_t run = op->dilation_w == 1 ? (x.end - x.first) * depth : depth;
    const int8_t *row = input + (y.start * op->in_w + x.start) * depth;
    if (y.end - y.first + x.end - x.first < op->kernel_h + op->kernel_w) {
        mcp_clear(patch, op->kernel_h * width);
    }
    patch += y.first * width + x.first * depth;
    MCP_ROLLED
    for (int32_t ky = y.first; ky < y.end; ky++) {
        MCP_ROLLED
        for (int32_t i = 0; i < runs; i++) {
            mcp_widen(patch + i * depth, row + i * op->dilation_w * depth, run, op->input_offset);
        }
        row += op->dilation_h * op->in_w * depth;
        patch += width;
    }
}

void mcp_conv2d_s8_dsp(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch)
{
    const int32_t words = (op->kernel_h * op->kernel_w * op->in_c + 3) / 4;
    int16_t *const a = scratch;
    int16_t *const b = a + 4 * words;
    int16_t *patch = a;
    mcp_clear(a, 8 * words);
    MCP_ROLLED
    for (int32_t y = 0; y < op->out_h; y++) {
        MCP_ROLLED
        for (int32_t x = 0; x < op->out_w; x++) {
            gather(op, input, y, x, patch);
            if (patch == a) {
                patch = b;
            } else {
                mcp_rows_s8_dsp(op, words, a, b, output, output + op->out_c);
                output += 2 * op->out_c;
                patch = a;
            }
        }
    }
    if (patch == b) {
        mcp_rows_s8_dsp(op, words, a, a, output, output);
    }
}
