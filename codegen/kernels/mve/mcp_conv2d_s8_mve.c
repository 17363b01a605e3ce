/* Convolution without dilation: the patches of four output pixels are gathered in scratch, then all channels
 * of the four computed. */
#include "mcp_patch.h"

void mcp_conv2d_s8_mve(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch)
{
    const int32_t length = op->kernel_h * op->kernel_w * op->in_c;
    int8_t *patch = scratch;
    const int8_t *pixels[4];
    int32_t count = 0;
    MCP_ROLLED
    for (int32_t oy = 0; oy < op->out_h; oy++) {
        const mcp_span y = mcp_clip_dense(oy * op->stride_h - op->pad_top, op->kernel_h, op->in_h);
        MCP_ROLLED
        for (int32_t ox = 0; ox < op->out_w; ox++) {
            mcp_patch(op, input, y, ox, patch);
            pixels[count++] = patch;
            patch += length;
            if (count == 4) {
                mcp_rows_s8_mve(op, length, pixels, 4, output);
                output += 4 * op->out_c;
                patch = scratch;
                count = 0;
            }
        }
    }
    mcp_last_pixels(op, length, pixels, count, output);
}
