/* Mean over a window of up to 255 taps, padding left out: four channels at a time, then one by one. */
#include "mcp_dsp.h"
#include "mcp_kernels.h"
#include "mcp_window.h"

typedef struct {
    int32_t step, line;    /* from one tap to the next, from the end of a row of taps to the next row */
    int32_t rows, columns; /* of taps inside the image */
} window;

/* Sums of 255 bytes fit 16 bits: two in a word. */
static inline void four_channels(const window *span, const int8_t *in, int32_t *sums)
{
    uint32_t even = 0, odd = 0;
    MCP_ROLLED
    for (int32_t ky = span->rows; ky > 0; ky--) {
        MCP_ROLLED
        for (int32_t kx = span->columns; kx > 0; kx--) {
            const uint32_t word = mcp_load_word(in);
            even = mcp_add_even_bytes(even, word);
            odd = mcp_add_odd_bytes(odd, word);
            in += span->step;
        }
        in += span->line;
    }
    sums[0] = (int16_t)even;
    sums[1] = (int16_t)odd;
    sums[2] = (int16_t)(even >> 16);
    sums[3] = (int16_t)(odd >> 16);
}

static inline int32_t one_channel(const window *span, const int8_t *in)
{
    int32_t sum = 0;
    MCP_ROLLED
    for (int32_t ky = span->rows; ky > 0; ky--) {
        MCP_ROLLED
        for (int32_t kx = span->columns; kx > 0; kx--) {
            sum += *in;
            in += span->step;
        }
        in += span->line;
    }
    return sum;
}

static inline int8_t *pixel(const mcp_pool2d *op, const window *span, const int8_t *in, int8_t *output)
{
    const int32_t taps = span->rows * span->columns;
    int32_t left = span->step;
    MCP_ROLLED
    while (left > 0) {
        int32_t sums[4], count = 1;
        if (left >= 4) {
            four_channels(span, in, sums);
            count = 4;
        } else {
            sums[0] = one_channel(span, in);
        }
        in += count;
        left -= count;
        const int32_t *sum = sums;
        MCP_ROLLED
        do {
            *output++ = mcp_clamp(mcp_mean(*sum++, taps), op->clamp_min, op->clamp_max);
        } while (--count != 0);
    }
    return output;
}

void mcp_average_pool2d_s8_dsp(const mcp_pool2d *op, const int8_t *input, int8_t *output)
{
    window span;
    span.step = op->channels;
    MCP_ROLLED
    for (int32_t oy = 0; oy < op->out_h; oy++) {
        const mcp_span y = mcp_clip_dense(oy * op->stride_h - op->pad_top, op->kernel_h, op->in_h);
        span.rows = y.end - y.first;
        MCP_ROLLED
        for (int32_t ox = 0; ox < op->out_w; ox++) {
            const mcp_span x = mcp_clip_dense(ox * op->stride_w - op->pad_left, op->kernel_w, op->in_w);
            span.columns = x.end - x.first;
            span.line = (op->in_w - span.columns) * span.step;
            output = pixel(op, &span, input + (y.start * op->in_w + x.start) * span.step, output);
        }
    }
}
