/* Convolution, any window. */
#ifndef MCP_CONV2D_H
#define MCP_CONV2D_H

#include "mcp_channels.h"
#include "mcp_kernels.h"
#include "mcp_window.h"

typedef struct {
    const int8_t *input, *weight;
    int32_t input_step, weight_step; /* from one row of taps to the next */
    int32_t runs, run, input_run; /* per row: runs of consecutive products, and the distance between them */
    int32_t rows;
} mcp_patch;

static inline int32_t mcp_dot(const mcp_patch *p, int32_t channel_bytes, int32_t input_offset, int32_t sum)
{
    const int8_t *input_row = p->input;
    const int8_t *weight_row = p->weight + channel_bytes;
    MCP_ROLLED
    for (int32_t row = 0; row < p->rows; row++) {
        const int8_t *x_run = input_row;
        const int8_t *w = weight_row;
        MCP_ROLLED
        for (int32_t run = 0; run < p->runs; run++) {
            const int8_t *x = x_run;
            MCP_ROLLED
            for (const int8_t *const end = x + p->run; x < end; x++) {
                sum += (*x + input_offset) * *w++;
            }
            x_run += p->input_run;
        }
        input_row += p->input_step;
        weight_row += p->weight_step;
    }
    return sum;
}

static inline mcp_patch mcp_clip_patch(const mcp_conv2d *op, const int8_t *input, int32_t out_y,
                                       int32_t out_x)
{
    const int32_t depth = op->in_c;
    const int32_t line = op->in_w * depth;
    const mcp_span y = mcp_clip(out_y * op->stride_h - op->pad_top, op->kernel_h, op->dilation_h, op->in_h);
    const mcp_span x = mcp_clip(out_x * op->stride_w - op->pad_left, op->kernel_w, op->dilation_w, op->in_w);
    mcp_patch p;
    p.input = input + y.start * line + x.start * depth;
    p.weight = op->weight + (y.first * op->kernel_w + x.first) * depth;
    p.input_step = op->dilation_h * line;
    p.weight_step = op->kernel_w * depth;
    p.rows = y.end - y.first;
    /* Without dilation the taps of a row are neighbours in memory: one run. */
    p.runs = op->dilation_w == 1 ? 1 : x.end - x.first;
    p.run = op->dilation_w == 1 ? (x.end - x.first) * depth : depth;
    p.input_run = op->dilation_w * depth;
    return p;
}

static inline void mcp_run_conv2d(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch,
                                  int32_t shared)
{
    const int32_t filter = op->kernel_h * op->kernel_w * op->in_c;
    (void)scratch;
    MCP_ROLLED
    for (int32_t y = 0; y < op->out_h; y++) {
        MCP_ROLLED
        for (int32_t x = 0; x < op->out_w; x++) {
            const mcp_patch p = mcp_clip_patch(op, input, y, x);
            MCP_ROLLED
            for (int32_t c = 0; c < op->out_c; c++) {
                const int32_t sum = mcp_dot(&p, c * filter, op->input_offset, mcp_bias_of(op, c, shared));
                const mcp_channel_scale scale = mcp_scale_of(op, c, shared);
                *output++ = mcp_requantize(sum, scale.multiplier, scale.shift, op->output_offset,
                                           op->clamp_min, op->clamp_max);
            }
        }
    }
}

#endif
