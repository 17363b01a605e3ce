/* Mean over a window of up to 255 taps, padding left out: eight channels at a time, the last eight of eight
 * or more being computed twice in part. */
#include "mcp_kernels.h"
#include "mcp_mve.h"
#include "mcp_window.h"

/* Sums of 255 bytes fit 16 bits. */
static inline mcp_halves window_sums(const int8_t *in, int32_t rows, int32_t columns, int32_t step,
                                     int32_t line)
{
    mcp_halves sums = mcp_zero_halves();
    MCP_ROLLED
    for (int32_t ky = rows; ky > 0; ky--) {
        MCP_ROLLED
        for (int32_t kx = columns; kx > 0; kx--) {
            sums = mcp_add_halves(sums, mcp_load_halves(in));
            in += step;
        }
        in += line;
    }
    return sums;
}

void mcp_average_pool2d_s8_mve(const mcp_pool2d *op, const int8_t *input, int8_t *output)
{
    const int32_t depth = op->channels;
    MCP_ROLLED
    for (int32_t oy = 0; oy < op->out_h; oy++) {
        const mcp_span y = mcp_clip_dense(oy * op->stride_h - op->pad_top, op->kernel_h, op->in_h);
        MCP_ROLLED
        for (int32_t ox = 0; ox < op->out_w; ox++) {
            const mcp_span x = mcp_clip_dense(ox * op->stride_w - op->pad_left, op->kernel_w, op->in_w);
            const int32_t rows = y.end - y.first, columns = x.end - x.first;
            const int8_t *in = input + (y.start * op->in_w + x.start) * depth;
            MCP_ROLLED
            for (int32_t c = 0; c < depth; c += 8) {
                int16_t sums[8];
                c = c > depth - 8 ? depth - 8 : c;
                mcp_store_halves(sums,
                                 window_sums(in + c, rows, columns, depth, (op->in_w - columns) * depth));
                MCP_ROLLED
                for (int32_t i = 0; i < 8; i++) {
                    output[c + i] =
                        mcp_clamp(mcp_mean(sums[i], rows * columns), op->clamp_min, op->clamp_max);
                }
            }
            output += depth;
        }
    }
}
