/* Pointwise convolution without padding, any stride: three pixels are widened in scratch, then all channels
 * computed. */
#include "mcp_dsp.h"
#include "mcp_kernels.h"

void mcp_conv2d_1x1_s8_dsp(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch)
{
    const int32_t depth = op->in_c;
    const int32_t pairs = (depth + 3) / 4 * 2;
    int8_t *const first = output;
    int16_t *const wide = scratch;
    int32_t pixels = 0;
    mcp_clear(wide, 6 * pairs);
    MCP_ROLLED
    for (int32_t y = 0; y < op->out_h; y++) {
        const int8_t *in = input + y * op->stride_h * op->in_w * depth;
        MCP_ROLLED
        for (int32_t x = 0; x < op->out_w; x++) {
            mcp_widen(wide + 2 * pairs * pixels, in, depth, op->input_offset);
            in += op->stride_w * depth;
            if (++pixels == 3) {
                mcp_rows_s8_dsp(op, pairs, wide, pixels, output);
                output += 3 * op->out_c;
                pixels = 0;
            }
        }
    }
    mcp_rows_s8_dsp(op, pairs, wide, pixels, output);
    mcp_clamp_all(first, output + pixels * op->out_c, op->clamp_min, op->clamp_max);
}
