/* Depthwise convolution with channel multiplier 1 and no dilation: four channels at a time, then one by one.
 */
#ifndef MCP_DEPTHWISE_CONV2D_DSP_H
#define MCP_DEPTHWISE_CONV2D_DSP_H

#include "mcp_channels.h"
#include "mcp_dsp.h"
#include "mcp_kernels.h"
#include "mcp_window.h"

typedef struct {
    const int8_t *input, *weight;
    int32_t step, line; /* input: from one tap to the next, from the end of a row of taps to the next row */
    int32_t rows, columns; /* of taps inside the image */
    int32_t skipped;       /* taps of a row that are outside */
} mcp_patch;

/* Weights: four channels of one tap after the other. */
static inline mcp_sums mcp_four_channels(const mcp_patch *p, uint32_t offsets, mcp_sums s)
{
    const int8_t *in = p->input, *w = p->weight;
    MCP_ROLLED
    for (int32_t ky = p->rows; ky > 0; ky--) {
        int32_t kx = p->columns;
        if (kx == 3) {
            s = mcp_add_tap(s, offsets, mcp_load_word(in), mcp_load_word(w));
            in += p->step;
            s = mcp_add_tap(s, offsets, mcp_load_word(in), mcp_load_word(w + 4));
            in += p->step;
            s = mcp_add_tap(s, offsets, mcp_load_word(in), mcp_load_word(w + 8));
            in += p->step;
            w += 12;
        } else {
            MCP_ROLLED
            for (; kx > 0; kx--) {
                s = mcp_add_tap(s, offsets, mcp_load_word(in), mcp_load_word(w));
                in += p->step;
                w += 4;
            }
        }
        in += p->line;
        w += 4 * p->skipped;
    }
    return s;
}

static inline int32_t mcp_one_channel(const mcp_patch *p, int32_t offset, int32_t sum)
{
    const int8_t *in = p->input, *w = p->weight;
    MCP_ROLLED
    for (int32_t ky = p->rows; ky > 0; ky--) {
        MCP_ROLLED
        for (int32_t kx = p->columns; kx > 0; kx--) {
            sum += (*in + offset) * *w++;
            in += p->step;
        }
        in += p->line;
        w += p->skipped;
    }
    return sum;
}

/* All channels of one output pixel; first is the number of its first tap that is inside the image. */
static inline void mcp_pixel(const mcp_conv2d *op, mcp_patch *p, int32_t first, int8_t *output,
                             int32_t shared)
{
    const int32_t taps = op->kernel_h * op->kernel_w;
    const int8_t *weight = op->weight;
    int32_t c = 0;
    MCP_ROLLED
    while (c < op->out_c) {
        int32_t results[4], count = 1;
        if (c + 4 <= op->out_c) {
            mcp_sums s = {mcp_bias_of(op, c, shared), mcp_bias_of(op, c + 1, shared),
                          mcp_bias_of(op, c + 2, shared), mcp_bias_of(op, c + 3, shared)};
            p->weight = weight + 4 * first;
            s = mcp_four_channels(p, mcp_pair(op->input_offset, op->input_offset), s);
            results[0] = s.c0;
            results[1] = s.c1;
            results[2] = s.c2;
            results[3] = s.c3;
            count = 4;
        } else {
            p->weight = weight + first;
            results[0] = mcp_one_channel(p, op->input_offset, mcp_bias_of(op, c, shared));
        }
        p->input += count;
        weight += count * taps;
        const int32_t *result = results;
        const int32_t end = c + count;
        MCP_ROLLED
        do {
            const mcp_channel_scale scale = mcp_scale_of(op, c, shared);
            output[c] = mcp_requantize_wide(*result++, scale.multiplier, scale.shift, op->output_offset);
        } while (++c != end);
    }
}

static inline void mcp_run_depthwise_conv2d_dsp(const mcp_conv2d *op, const int8_t *input, int8_t *output,
                                                void *scratch, int32_t shared)
{
    int8_t *const first = output;
    mcp_patch p;
    p.step = op->in_c;
    (void)scratch;
    MCP_ROLLED
    for (int32_t oy = 0; oy < op->out_h; oy++) {
        const mcp_span y = mcp_clip_dense(oy * op->stride_h - op->pad_top, op->kernel_h, op->in_h);
        p.rows = y.end - y.first;
        MCP_ROLLED
        for (int32_t ox = 0; ox < op->out_w; ox++) {
            const mcp_span x = mcp_clip_dense(ox * op->stride_w - op->pad_left, op->kernel_w, op->in_w);
            p.columns = x.end - x.first;
            p.skipped = op->kernel_w - p.columns;
            p.line = (op->in_w - p.columns) * p.step;
            p.input = input + (y.start * op->in_w + x.start) * p.step;
            mcp_pixel(op, &p, y.first * op->kernel_w + x.first, output, shared);
            output += op->out_c;
        }
    }
    mcp_clamp_all(first, output, op->clamp_min, op->clamp_max);
}

#endif
