/* Depthwise convolution of four channels or more with channel multiplier 1 and no dilation, in little code:
 * four channels at a time, the last four again where fewer are left. */
#ifndef MCP_DEPTHWISE_CONV2D_SMALL_DSP_H
#define MCP_DEPTHWISE_CONV2D_SMALL_DSP_H

#include "mcp_channels.h"
#include "mcp_dsp.h"
#include "mcp_kernels.h"
#include "mcp_window.h"

static inline void mcp_run_depthwise_conv2d_small_dsp(const mcp_conv2d *op, const int8_t *input,
                                                      int8_t *output, void *scratch, int32_t shared)
{
    const uint32_t offsets = mcp_pair(op->input_offset, op->input_offset);
    const int32_t channels = op->out_c, line = op->in_w * channels, filter_line = op->kernel_w * channels;
    (void)scratch;
    MCP_ROLLED
    for (int32_t oy = 0; oy < op->out_h; oy++) {
        const mcp_span y = mcp_clip_dense(oy * op->stride_h - op->pad_top, op->kernel_h, op->in_h);
        MCP_ROLLED
        for (int32_t ox = 0; ox < op->out_w; ox++) {
            const mcp_span x = mcp_clip_dense(ox * op->stride_w - op->pad_left, op->kernel_w, op->in_w);
            const int8_t *const in = input + y.start * line + x.start * channels;
            const int8_t *const weight = op->weight + y.first * filter_line + x.first * channels;
            int32_t c = 0;
            MCP_ROLLED
            do {
                c = c < channels - 4 ? c : channels - 4;
                const int8_t *in_row = in + c, *weight_row = weight + c;
                mcp_sums s = {mcp_bias_of(op, c, shared), mcp_bias_of(op, c + 1, shared),
                              mcp_bias_of(op, c + 2, shared), mcp_bias_of(op, c + 3, shared)};
                MCP_ROLLED
                for (int32_t ky = y.first; ky < y.end; ky++) {
                    const int8_t *tap = in_row, *w = weight_row;
                    MCP_ROLLED
                    for (int32_t kx = x.first; kx < x.end; kx++) {
                        s = mcp_add_tap(s, offsets, mcp_load_word(tap), mcp_load_word(w));
                        tap += channels;
                        w += channels;
                    }
                    in_row += line;
                    weight_row += filter_line;
                }
                const int32_t sums[4] = {s.c0, s.c1, s.c2, s.c3};
                MCP_ROLLED
                for (int32_t i = 0; i < 4; i++, c++) {
                    const mcp_channel_scale scale = mcp_scale_of(op, c, shared);
                    output[c] = mcp_requantize(sums[i], scale.multiplier, scale.shift, op->output_offset,
                                               op->clamp_min, op->clamp_max);
                }
            } while (c < channels);
            output += channels;
        }
    }
}

#endif
