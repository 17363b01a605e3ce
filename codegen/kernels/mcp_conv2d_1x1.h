/* Pointwise convolution without padding, any stride; the bias holds the input offset. */
#ifndef MCP_CONV2D_1X1_H
#define MCP_CONV2D_1X1_H

#include "mcp_channels.h"
#include "mcp_kernels.h"

static inline void mcp_run_conv2d_1x1(const mcp_conv2d *op, const int8_t *input, int8_t *output,
                                      void *scratch, int32_t shared)
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
                int32_t sum = mcp_bias_of(op, c, shared);
                MCP_ROLLED
                for (const int8_t *in = pixel; in < end; in++) {
                    sum += *in * *w++;
                }
                const mcp_channel_scale scale = mcp_scale_of(op, c, shared);
                *output++ = mcp_requantize(sum, scale.multiplier, scale.shift, op->output_offset,
                                           op->clamp_min, op->clamp_max);
            }
            pixel += step;
        }
    }
}

#endif
