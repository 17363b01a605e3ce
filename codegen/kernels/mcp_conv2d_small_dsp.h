/* Convolution without dilation, in little code: the patch of an output pixel is gathered in scratch, then one
 * channel after the other computed.  Weights are (out_c, kernel_h, kernel_w, in_c), readable up to a whole
 * word of the last channel's.  A channel's last word may hold weights of the next: the patch has its zero
 * point there, so they are multiplied by 0. */
#ifndef MCP_CONV2D_SMALL_DSP_H
#define MCP_CONV2D_SMALL_DSP_H

#include "mcp_channels.h"
#include "mcp_dsp.h"
#include "mcp_kernels.h"
#include "mcp_window.h"

/* sum + the products of whole words, offset added to those of the patch. */
static inline int32_t mcp_dot(const int8_t *patch, const int8_t *weight, int32_t filter, uint32_t offsets,
                              int32_t sum)
{
    const int8_t *const end = patch + filter;
    MCP_ROLLED
    do {
        const uint32_t x = mcp_load_word(patch), w = mcp_load_word(weight);
        sum = mcp_dot_pair(mcp_add_even_bytes(offsets, x), mcp_even_bytes(w), sum);
        sum = mcp_dot_pair(mcp_add_odd_bytes(offsets, x), mcp_odd_bytes(w), sum);
        patch += 4;
        weight += 4;
    } while (patch < end);
    return sum;
}

static inline void mcp_run_conv2d_small_dsp(const mcp_conv2d *op, const int8_t *input, int8_t *output,
                                            void *scratch, int32_t shared)
{
    const int32_t depth = op->in_c, line = op->in_w * depth, filter_line = op->kernel_w * depth;
    const int32_t filter = op->kernel_h * filter_line;
    const uint32_t offsets = mcp_pair(op->input_offset, op->input_offset);
    const uint32_t outside = mcp_four_bytes(-op->input_offset);
    MCP_ROLLED
    for (int32_t oy = 0; oy < op->out_h; oy++) {
        const mcp_span y = mcp_clip_dense(oy * op->stride_h - op->pad_top, op->kernel_h, op->in_h);
        MCP_ROLLED
        for (int32_t ox = 0; ox < op->out_w; ox++) {
            const mcp_span x = mcp_clip_dense(ox * op->stride_w - op->pad_left, op->kernel_w, op->in_w);
            const int32_t run = (x.end - x.first) * depth;
            const int8_t *in = input + y.start * line + x.start * depth, *w = op->weight;
            int8_t *patch = scratch;
            MCP_ROLLED
            for (int32_t i = 0; i < filter; i += 4) {
                mcp_store_word(patch + i, outside);
                MCP_KEEP_LOOP();
            }
            patch += y.first * filter_line + x.first * depth;
            MCP_ROLLED
            for (int32_t row = y.first; row < y.end; row++) {
                mcp_copy_bytes(patch, in, run);
                in += line;
                patch += filter_line;
            }
            MCP_ROLLED
            for (int32_t c = 0; c < op->out_c; c++) {
                const int32_t sum = mcp_dot(scratch, w, filter, offsets, mcp_bias_of(op, c, shared));
                const mcp_channel_scale scale = mcp_scale_of(op, c, shared);
                w += filter;
                *output++ = mcp_requantize(sum, scale.multiplier, scale.shift, op->output_offset,
                                           op->clamp_min, op->clamp_max);
            }
        }
    }
}

#endif
