/* Convolution of int16 activations, any window. */
#include "mcp_kernels.h"
#include "mcp_wide.h"
#include "mcp_window.h"

/* What an output pixel sees: rows of taps inside the image; without dilation a row is one run of products. */
typedef struct {
    const int16_t *input;
    const int8_t *weight;
    int32_t input_step, weight_step; /* from row to row */
    int32_t rows, runs, run, input_run;
} patch;

static inline int64_t dot(const patch *p, int32_t first_weight, int64_t sum)
{
    const int16_t *input_row = p->input;
    const int8_t *weight_row = p->weight + first_weight;
    MCP_ROLLED
    for (int32_t row = 0; row < p->rows; row++) {
        const int16_t *x_run = input_row;
        const int8_t *w = weight_row;
        MCP_ROLLED
        for (int32_t run = 0; run < p->runs; run++) {
            const int16_t *x = x_run;
            MCP_ROLLED
            for (const int16_t *const end = x + p->run; x < end; x++) {
                sum += *x * *w++;
            }
            x_run += p->input_run;
        }
        input_row += p->input_step;
        weight_row += p->weight_step;
    }
    return sum;
}

static inline patch clip(const mcp_conv2d *op, const int16_t *input, int32_t out_y, int32_t out_x)
{
    const int32_t depth = op->in_c;
    const int32_t line = op->in_w * depth;
    const mcp_span y = mcp_clip(out_y * op->stride_h - op->pad_top, op->kernel_h, op->dilation_h, op->in_h);
    const mcp_span x = mcp_clip(out_x * op->stride_w - op->pad_left, op->kernel_w, op->dilation_w, op->in_w);
    patch p;
    p.input = input + y.start * line + x.start * depth;
    p.weight = op->weight + (y.first * op->kernel_w + x.first) * depth;
    p.input_step = op->dilation_h * line;
    p.weight_step = op->kernel_w * depth;
    p.rows = y.end - y.first;
    p.runs = op->dilation_w == 1 ? 1 : x.end - x.first;
    p.run = op->dilation_w == 1 ? (x.end - x.first) * depth : depth;
    p.input_run = op->dilation_w * depth;
    return p;
}

void mcp_conv2d_s16(const mcp_conv2d *op, const int16_t *input, int16_t *output, void *scratch)
{
    const int32_t filter = op->kernel_h * op->kernel_w * op->in_c;
    (void)scratch;
    MCP_ROLLED
    for (int32_t y = 0; y < op->out_h; y++) {
        MCP_ROLLED
        for (int32_t x = 0; x < op->out_w; x++) {
            const patch p = clip(op, input, y, x);
            MCP_ROLLED
            for (int32_t c = 0; c < op->out_c; c++) {
                const int64_t sum = dot(&p, c * filter, op->bias[c]);
                *output++ = mcp_clamp_wide(mcp_scale_wide(sum, op->multiplier[c], op->shift[c]),
                                           op->clamp_min, op->clamp_max);
            }
        }
    }
}
