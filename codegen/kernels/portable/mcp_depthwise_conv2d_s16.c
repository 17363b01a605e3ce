/* Depthwise convolution of int16 activations, any window and channel multiplier. */
#include "mcp_kernels.h"
#include "mcp_wide.h"
#include "mcp_window.h"

static inline int64_t dot(const mcp_conv2d *op, const int16_t *input, mcp_span y, mcp_span x, int32_t out)
{
    const int32_t step = op->dilation_w * op->in_c;
    const int32_t line = op->dilation_h * op->in_w * op->in_c;
    const int32_t outputs = op->out_c;
    const int8_t *weight = op->weight + (y.first * op->kernel_w + x.first) * outputs + out;
    int64_t sum = op->bias[out];
    MCP_ROLLED
    for (int32_t ky = y.first; ky < y.end; ky++) {
        const int16_t *in = input;
        const int8_t *w = weight;
        MCP_ROLLED
        for (int32_t kx = x.first; kx < x.end; kx++) {
            sum += *in * *w;
            in += step;
            w += outputs;
        }
        input += line;
        weight += op->kernel_w * outputs;
    }
    return sum;
}

void mcp_depthwise_conv2d_s16(const mcp_conv2d *op, const int16_t *input, int16_t *output, void *scratch)
{
    (void)scratch;
    MCP_ROLLED
    for (int32_t oy = 0; oy < op->out_h; oy++) {
        const mcp_span y = mcp_clip(oy * op->stride_h - op->pad_top, op->kernel_h, op->dilation_h, op->in_h);
        MCP_ROLLED
        for (int32_t ox = 0; ox < op->out_w; ox++) {
            const mcp_span x =
                mcp_clip(ox * op->stride_w - op->pad_left, op->kernel_w, op->dilation_w, op->in_w);
            const int16_t *in = input + (y.start * op->in_w + x.start) * op->in_c;
            /* in moves on whenever the outputs of one input channel, out_c / in_c of them, are done. */
            int32_t progress = 0;
            MCP_ROLLED
            for (int32_t c = 0; c < op->out_c; c++) {
                const int32_t scaled = mcp_scale_wide(dot(op, in, y, x, c), op->multiplier[c], op->shift[c]);
                *output++ = mcp_clamp_wide(scaled, op->clamp_min, op->clamp_max);
                progress += op->in_c;
                if (progress >= op->out_c) {
                    progress -= op->out_c;
                    in++;
                }
            }
        }
    }
}
