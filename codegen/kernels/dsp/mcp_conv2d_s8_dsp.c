/* Convolution without dilation: the patches of three output pixels are gathered in scratch, then all channels
 * of both computed. */
#include "mcp_dsp.h"
#include "mcp_kernels.h"
#include "mcp_window.h"

/* One pixel's patch; taps outside the image are 0, as is the input less its zero point there. */
static inline void gather(const mcp_conv2d *op, const int8_t *input, mcp_span y, int32_t out_x,
                          int16_t *patch)
{
    const int32_t depth = op->in_c;
    const int32_t width = op->kernel_w * depth;
    const mcp_span x = mcp_clip_dense(out_x * op->stride_w - op->pad_left, op->kernel_w, op->in_w);
    const int8_t *row = input + (y.start * op->in_w + x.start) * depth;
    if (y.end - y.first < op->kernel_h || x.end - x.first < op->kernel_w) {
        mcp_clear(patch, op->kernel_h * width);
    }
    patch += y.first * width + x.first * depth;
    MCP_ROLLED
    for (int32_t ky = y.first; ky < y.end; ky++) {
        mcp_widen(patch, row, (x.end - x.first) * depth, op->input_offset);
        row += op->in_w * depth;
        patch += width;
    }
}

void mcp_conv2d_s8_dsp(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch)
{
    const int32_t pairs = (op->kernel_h * op->kernel_w * op->in_c + 3) / 4 * 2;
    int8_t *const first = output;
    int16_t *const patches = scratch;
    int32_t pixels = 0;
    mcp_clear(patches, 6 * pairs);
    MCP_ROLLED
    for (int32_t oy = 0; oy < op->out_h; oy++) {
        const mcp_span y = mcp_clip_dense(oy * op->stride_h - op->pad_top, op->kernel_h, op->in_h);
        MCP_ROLLED
        for (int32_t ox = 0; ox < op->out_w; ox++) {
            gather(op, input, y, ox, patches + 2 * pairs * pixels);
            if (++pixels == 3) {
                mcp_rows_s8_dsp(op, pairs, patches, pixels, output);
                output += 3 * op->out_c;
                pixels = 0;
            }
        }
    }
    mcp_rows_s8_dsp(op, pairs, patches, pixels, output);
    mcp_clamp_all(first, output + pixels * op->out_c, op->clamp_min, op->clamp_max);
}
