/* What the mve convolutions do around their products: windows copied out of the image, the last pixels. */
#ifndef MCP_PATCH_H
#define MCP_PATCH_H

#include <stddef.h>

#include "mcp_kernels.h"
#include "mcp_mve.h"
#include "mcp_window.h"

/* The window at rows y and column out_x as (kernel_h, kernel_w, in_c); outside the image is the input's zero
 * point. */
static inline void mcp_patch(const mcp_conv2d *op, const int8_t *input, mcp_span y, int32_t out_x,
                             int8_t *patch)
{
    const int32_t depth = op->in_c;
    const int32_t width = op->kernel_w * depth;
    const mcp_span x = mcp_clip_dense(out_x * op->stride_w - op->pad_left, op->kernel_w, op->in_w);
    const int32_t run = (x.end - x.first) * depth;
    const int8_t *row = input + (y.start * op->in_w + x.start) * depth;
    if (run < width || y.end - y.first < op->kernel_h) {
        mcp_fill_bytes(patch, -op->input_offset, op->kernel_h * width);
    }
    if (run > 0) {
        patch += y.first * width + x.first * depth;
        MCP_ROLLED
        for (int32_t ky = y.first; ky < y.end; ky++) {
            mcp_copy_bytes(patch, row, run);
            row += op->in_w * depth;
            patch += width;
        }
    }
}

/* The outputs of the last one to three pixels.  A single one shares no weights with others: four rows of
 * weights share its inputs instead. */
static inline void mcp_last_pixels(const mcp_conv2d *op, int32_t length, const int8_t **pixels, int32_t count,
                                   int8_t *output)
{
    if (count == 1) {
        const mcp_fully_connected single = {
            length, op->out_c,  op->input_offset, op->clamp_min,  op->clamp_max, (int8_t)op->output_offset,
            1,      op->weight, op->bias,         op->multiplier, op->shift};
        mcp_fully_connected_s8_mve(&single, pixels[0], output, NULL);
    } else if (count > 1) {
        pixels[3] = pixels[count - 1];
        pixels[2] = count == 2 ? pixels[1] : pixels[2];
        mcp_rows_s8_mve(op, length, pixels, count, output);
    }
}

#endif
