/* Depthwise convolution with channel multiplier 1, any window: four channels at a time. */
#include "mcp_dsp.h"
#include "mcp_kernels.h"
#include "mcp_window.h"

typedef struct {
    const int8_t *input, *weight;
    int32_t input_row, weight_row; /* from one row of taps to the next */
    int32_t step, channels;        /* from one tap to the next: input, weights */
    int32_t rows, columns;
} patch;

static inline void four_channels(const patch *p, uint32_t offsets, const int32_t *bias, int32_t *sums)
{
    int32_t s0 = bias[0], s1 = bias[1], s2 = bias[2], s3 = bias[3];
    const int8_t *row = p->input, *weight_row = p->weight;
    MCP_ROLLED
    for (int32_t ky = p->rows; ky > 0; ky--) {
        const int8_t *in = row, *w = weight_row;
        MCP_ROLLED
        for (int32_t kx = p->columns; kx > 0; kx--) {
            const uint32_t x = mcp_load_word(in);
            const uint32_t k = mcp_load_word(w);
            const uint32_t even_x = mcp_add_even_bytes(offsets, x), even_k = mcp_even_bytes(k);
            const uint32_t odd_x = mcp_add_odd_bytes(offsets, x), odd_k = mcp_odd_bytes(k);
            s0 = mcp_multiply_low(even_x, even_k, s0);
            s1 = mcp_multiply_low(odd_x, odd_k, s1);
            s2 = mcp_multiply_high(even_x, even_k, s2);
            s3 = mcp_multiply_high(odd_x, odd_k, s3);
            in += p->step;
            w += p->channels;
        }
        row += p->input_row;
        weight_row += p->weight_row;
    }
    sums[0] = s0;
    sums[1] = s1;
    sums[2] = s2;
    sums[3] = s3;
}

static inline int32_t one_channel(const patch *p, int32_t offset, int32_t sum)
{
    const int8_t *row = p->input, *weight_row = p->weight;
    MCP_ROLLED
    for (int32_t ky = p->rows; ky > 0; ky--) {
        const int8_t *in = row, *w = weight_row;
        MCP_ROLLED
        for (int32_t kx = p->columns; kx > 0; kx--) {
            sum += (*in + offset) * *w;
            in += p->step;
            w += p->channels;
        }
        row += p->input_row;
        weight_row += p->weight_row;
    }
    return sum;
}

/* All channels of one output pixel. */
static inline int8_t *pixel(const mcp_conv2d *op, patch p, int8_t *output)
{
    const uint32_t offsets = mcp_pair(op->input_offset, op->input_offset);
    int32_t c = 0;
    MCP_ROLLED
    while (c < op->out_c) {
        int32_t sums[4];
        int32_t count = 1;
        if (c + 4 <= op->out_c) {
            four_channels(&p, offsets, op->bias + c, sums);
            count = 4;
        } else {
            sums[0] = one_channel(&p, op->input_offset, op->bias[c]);
        }
        p.input += count;
        p.weight += count;
        MCP_ROLLED
        for (int32_t i = 0; i < count; i++, c++) {
            *output++ = mcp_requantize(sums[i], op->multiplier[c], op->shift[c], op->output_offset,
                                       op->clamp_min, op->clamp_max);
        }
    }
    return output;
}

void mcp_depthwise_conv2d_s8_dsp(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch)
{
    patch p;
    p.channels = op->out_c;
    p.step = op->dilation_w * p.channels;
    p.input_row = op->dilation_h * op->in_w * p.channels;
    p.weight_row = op->kernel_w * p.channels;
    (void)scratch;
    MCP_ROLLED
    for (int32_t oy = 0; oy < op->out_h; oy++) {
        const mcp_span y = mcp_clip(oy * op->stride_h - op->pad_top, op->kernel_h, op->dilation_h, op->in_h);
        MCP_ROLLED
        for (int32_t ox = 0; ox < op->out_w; ox++) {
            const mcp_span x =
                mcp_clip(ox * op->stride_w - op->pad_left, op->kernel_w, op->dilation_w, op->in_w);
            p.input = input + (y.start * op->in_w + x.start) * p.channels;
            p.weight = op->weight + (y.first * op->kernel_w + x.first) * p.channels;
            p.rows = y.end - y.first;
            p.columns = x.end - x.first;
            output = pixel(op, p, output);
        }
    }
}
