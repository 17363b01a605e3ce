/* Convolution without dilation: the patches of three output pixels are gathered in scratch, then all channels
 * of both computed. */
#ifndef MCP_CONV2D_DSP_H
#define MCP_CONV2D_DSP_H

#include "mcp_dsp.h"
#include "mcp_kernels.h"
#include "mcp_window.h"

/* One pixel's patch; taps outside the image are 0, as is the input less its zero point there. */
static inline void mcp_gather(const mcp_conv2d *op, const int8_t *input, mcp_span y, int32_t x,
                              int16_t *patch, int32_t pairs)
{
    const int32_t depth = op->in_c;
    const int32_t width = op->kernel_w * depth;
    int32_t count = width;
    int32_t left = y.end - y.first;
    if (left < op->kernel_h || x < 0 || x + op->kernel_w > op->in_w) {
        const mcp_span taps = mcp_clip_dense(x, op->kernel_w, op->in_w);
        mcp_clear_words(patch, pairs);
        patch += y.first * width + taps.first * depth;
        count = (taps.end - taps.first) * depth;
        x = taps.start;
    }
    input += (y.start * op->in_w + x) * depth;
    MCP_ROLLED
    for (; left > 0; left--) {
        mcp_widen(patch, input, count, op->input_offset);
        input += op->in_w * depth;
        patch += width;
    }
}

/* rows is one of two functions, each for one form of scales. */
static inline void mcp_run_conv2d_dsp(const mcp_conv2d *op, const int8_t *input, int8_t *output,
                                      void *scratch, mcp_rows *rows)
{
    const int32_t pairs = (op->kernel_h * op->kernel_w * op->in_c + 3) / 4 * 2;
    int8_t *const first = output;
    int16_t *const patches = scratch;
    int32_t pixels = 0;
    mcp_clear_words(patches, 3 * pairs);
    MCP_ROLLED
    for (int32_t oy = 0; oy < op->out_h; oy++) {
        const mcp_span y = mcp_clip_dense(oy * op->stride_h - op->pad_top, op->kernel_h, op->in_h);
        int32_t x = -op->pad_left;
        MCP_ROLLED
        for (int32_t left = op->out_w; left > 0; left--) {
            mcp_gather(op, input, y, x, patches + 2 * pairs * pixels, pairs);
            x += op->stride_w;
            if (++pixels == 3) {
                rows(op, pairs, patches, pixels, output);
                output += 3 * op->out_c;
                pixels = 0;
            }
        }
    }
    rows(op, pairs, patches, pixels, output);
    mcp_clamp_all(first, output + pixels * op->out_c, op->clamp_min, op->clamp_max);
}

#endif
