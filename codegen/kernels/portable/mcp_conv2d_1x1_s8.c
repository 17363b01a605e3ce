/* Pointwise convolution without padding, any stride; the bias holds the input offset. */
#include "mcp_arithmetic.h"
#include "mcp_kernels.h"

void mcp_conv2d_1x1_s8(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch)
{
    const int32_t depth = op->in_c;
    const int32_t step = op->stride_w * depth;
    (void)scratch;
    MCP_ROLLED
    for (int32_t y = 0; y < op->out_h; y++) {
        const int8_t *pixel = input + y * op->stride_h * op->in_w * depth;
        MCP_ROLLED
        for (int32_t x = 0; x < op->out_w; x++) {
            const int8_t *w = op->weight;
            const int8_t *const end = pixel + depth;
            MCP_ROLLED
            for (int32_t c = 0; c < op->out_c; c++) {
                int32_t sum = op->bias[c];
                MCP_ROLLED
                for (const int8_t *in = pixel; in < end; in++) {
                    sum += *in * *w++;
                }
                *output++ = mcp_requantize(sum, op->multiplier[c], op->shift[c], op->output_offset,
                                           op->clamp_min, op->clamp_max);
            }
            pixel += step;
        }
    }
}
