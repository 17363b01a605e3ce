/* Pointwise convolution without padding, any stride: three pixels are widened in scratch, then all channels
 * computed. */
#ifndef MCP_CONV2D_1X1_DSP_H
#define MCP_CONV2D_1X1_DSP_H

#include "mcp_dsp.h"
#include "mcp_kernels.h"

/* rows_of_channels is one of two functions, each for one form of scales. */
static inline void mcp_run_conv2d_1x1_dsp(const mcp_conv2d *op, const int8_t *input, int8_t *output,
                                          void *scratch, mcp_rows *rows_of_channels)
{
    const int32_t depth = op->in_c, step = op->stride_w * depth;
    const int32_t pairs = (depth + 3) / 4 * 2;
    /* Whole words of pixels side by side need no gaps: all of them are a single row. */
    const int32_t dense = op->stride_h == 1 && op->stride_w == 1 && depth % 4 == 0;
    const int32_t rows = dense ? 1 : op->out_h;
    const int32_t columns = dense ? op->out_h * op->out_w : op->out_w;
    int8_t *const first = output;
    int16_t *const wide = scratch;
    int32_t pixels = 0;
    mcp_clear_words(wide, 3 * pairs);
    MCP_ROLLED
    for (int32_t y = 0; y < rows; y++) {
        const int8_t *in = input;
        int32_t left = columns;
        MCP_ROLLED
        while (left > 0) {
            const int32_t taken = !dense ? 1 : left < 3 ? left : 3;
            mcp_widen_apart(wide + 2 * pairs * pixels, in, taken * depth, op->input_offset);
            in += taken * step;
            left -= taken;
            pixels += taken;
            if (pixels == 3) {
                rows_of_channels(op, pairs, wide, pixels, output);
                output += 3 * op->out_c;
                pixels = 0;
            }
        }
        input += op->stride_h * op->in_w * depth;
    }
    rows_of_channels(op, pairs, wide, pixels, output);
    mcp_clamp_all(first, output + pixels * op->out_c, op->clamp_min, op->clamp_max);
}

#endif
