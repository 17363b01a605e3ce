/* Pointwise convolution without padding, any stride: four pixels at a time, read where they lie. */
#include "mcp_patch.h"

/* Four of the pixels of a row at once, for as long as there are four; returns how many that were. */
static inline int32_t fours(const mcp_conv2d *op, const int8_t *in, int32_t step, int32_t width,
                            int8_t *output)
{
    int32_t x = 0;
    MCP_ROLLED
    for (; x + 4 <= width; x += 4) {
        const int8_t *const pixels[4] = {in, in + step, in + 2 * step, in + 3 * step};
        mcp_rows_s8_mve(op, op->in_c, pixels, 4, output);
        in += 4 * step;
        output += 4 * op->out_c;
    }
    return x;
}

void mcp_conv2d_1x1_s8_mve(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch)
{
    const int32_t depth = op->in_c, step = op->stride_w * depth;
    const int8_t *pixels[4];
    int32_t count = 0, height = op->out_h, width = op->out_w;
    (void)scratch;
    if (step == depth && op->stride_h == 1) { /* one long row */
        width *= height;
        height = 1;
    }
    MCP_ROLLED
    for (int32_t y = 0; y < height; y++) {
        const int8_t *in = input + y * op->stride_h * op->in_w * depth;
        int32_t x = 0;
        if (count == 0) {
            x = fours(op, in, step, width, output);
            in += x * step;
            output += x * op->out_c;
        }
        MCP_ROLLED
        for (; x < width; x++) {
            pixels[count++] = in;
            in += step;
            if (count == 4) {
                mcp_rows_s8_mve(op, depth, pixels, 4, output);
                output += 4 * op->out_c;
                count = 0;
            }
        }
    }
    mcp_last_pixels(op, depth, pixels, count, output);
}
