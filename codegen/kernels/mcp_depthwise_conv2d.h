/* Depthwise convolution, any window and channel multiplier. */
#ifndef MCP_DEPTHWISE_CONV2D_H
#define MCP_DEPTHWISE_CONV2D_H

#include "mcp_channels.h"
#include "mcp_kernels.h"
#include "mcp_window.h"

static inline int32_t mcp_dot(const mcp_conv2d *op, const int8_t *input, mcp_span y, mcp_span x, int32_t out,
                              int32_t shared)
{
    const int32_t step = op->dilation_w * op->in_c;
    const int32_t line = op->dilation_h * op->in_w * op->in_c;
    const int32_t outputs = op->out_c, input_offset = op->input_offset;
    const int8_t *weight = op->weight + (y.first * op->kernel_w + x.first) * outputs + out;
    int32_t sum = mcp_bias_of(op, out, shared);
    MCP_ROLLED
    for (int32_t ky = y.first; ky < y.end; ky++) {
        const int8_t *in = input;
        const int8_t *w = weight;
        MCP_ROLLED
        for (int32_t kx = x.first; kx < x.end; kx++) {
            sum += (*in + input_offset) * *w;
            in += step;
            w += outputs;
        }
        input += line;
        weight += op->kernel_w * outputs;
    }
    return sum;
}

static inline void mcp_run_depthwise_conv2d(const mcp_conv2d *op, const int8_t *input, int8_t *output,
                                            void *scratch, int32_t shared)
{
    (void)scratch;
    MCP_ROLLED
    for (int32_t oy = 0; oy < op->out_h; oy++) {
        const mcp_span y = mcp_clip(oy * op->stride_h - op->pad_top, op->kernel_h, op->dilation_h, op->in_h);
        MCP_ROLLED
        for (int32_t ox = 0; ox < op->out_w; ox++) {
            const mcp_span x =
                mcp_clip(ox * op->stride_w - op->pad_left, op->kernel_w, op->dilation_w, op->in_w);
            const int32_t row = y.start;
            const int32_t column = x.start;
            const int8_t *in = input + (row * op->in_w + column) * op->in_c;
            /* in moves on whenever the outputs of one input channel, out_c / in_c of them, are done. */
            int32_t progress = 0;
            MCP_ROLLED
            for (int32_t c = 0; c < op->out_c; c++) {
                const int32_t sum = mcp_dot(op, in, y, x, c, shared);
                const mcp_channel_scale scale = mcp_scale_of(op, c, shared);
                *output++ = mcp_requantize(sum, scale.multiplier, scale.shift, op->output_offset,
                                           op->clamp_min, op->clamp_max);
                progress += op->in_c;
                if (progress >= op->out_c) {
                    progress -= op->out_c;
                    in++;
                }
            }
        }
    }
}

#endif
