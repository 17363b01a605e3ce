/* Maximum over a window: four channels at a time, then one by one. */
#include "mcp_dsp.h"
#include "mcp_kernels.h"
#include "mcp_window.h"

typedef struct {
    int32_t step, line;    /* from one tap to the next, from the end of a row of taps to the next row */
    int32_t rows, columns; /* of taps inside the image */
} window;

static inline uint32_t four_channels(const window *span, const int8_t *in, uint32_t best)
{
    MCP_ROLLED
    for (int32_t ky = span->rows; ky > 0; ky--) {
        MCP_ROLLED
        for (int32_t kx = span->columns; kx > 0; kx--) {
            best = mcp_max_bytes(best, mcp_load_word(in));
            in += span->step;
        }
        in += span->line;
    }
    return best;
}

static inline int32_t one_channel(const window *span, const int8_t *in, int32_t best)
{
    MCP_ROLLED
    for (int32_t ky = span->rows; ky > 0; ky--) {
        MCP_ROLLED
        for (int32_t kx = span->columns; kx > 0; kx--) {
            best = *in > best ? *in : best;
            in += span->step;
        }
        in += span->line;
    }
    return best;
}

void mcp_max_pool2d_s8_dsp(const mcp_pool2d *op, const int8_t *input, int8_t *output)
{
    const uint32_t least = mcp_four_bytes(op->clamp_min), most = mcp_four_bytes(op->clamp_max);
    window span;
    span.step = op->channels;
    MCP_ROLLED
    for (int32_t oy = 0; oy < op->out_h; oy++) {
        const mcp_span y = mcp_clip_dense(oy * op->stride_h - op->pad_top, op->kernel_h, op->in_h);
        span.rows = y.end - y.first;
        MCP_ROLLED
        for (int32_t ox = 0; ox < op->out_w; ox++) {
            const mcp_span x = mcp_clip_dense(ox * op->stride_w - op->pad_left, op->kernel_w, op->in_w);
            const int8_t *in = input + (y.start * op->in_w + x.start) * span.step;
            int32_t left = span.step;
            span.columns = x.end - x.first;
            span.line = (op->in_w - span.columns) * span.step;
            MCP_ROLLED
            for (; left >= 4; left -= 4) {
                mcp_store_word(output, mcp_min_bytes(four_channels(&span, in, least), most));
                in += 4;
                output += 4;
            }
            MCP_ROLLED
            for (; left > 0; left--) {
                *output++ = mcp_clamp(one_channel(&span, in++, -128), op->clamp_min, op->clamp_max);
            }
        }
    }
}
