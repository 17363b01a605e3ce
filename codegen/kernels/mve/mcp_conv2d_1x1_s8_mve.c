/* Pointwise convolution without padding, any stride: four pixels at a time, read where they lie. */
#include "mcp_kernels.h"
#include "mcp_mve.h"

void mcp_conv2d_1x1_s8_mve(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch)
{
    const int32_t depth = op->in_c;
    const int8_t *pixels[4];
    int32_t count = 0;
    (void)scratch;
    MCP_ROLLED
    for (int32_t y = 0; y < op->out_h; y++) {
        const int8_t *in = input + y * op->stride_h * op->in_w * depth;
        MCP_ROLLED
        for (int32_t x = 0; x < op->out_w; x++) {
            pixels[count++] = in;
            in += op->stride_w * depth;
            if (count == 4) {
                mcp_rows_s8_mve(op, depth, pixels, 4, output);
                output += 4 * op->out_c;
                count = 0;
            }
        }
    }
    if (count > 0) {
        mcp_rows_s8_mve(op, depth, pixels, count, output);
    }
}
