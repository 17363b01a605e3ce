/* Mean over a window, padding left out, rounded half away from zero. */
#include "mcp_arithmetic.h"
#include "mcp_kernels.h"
#include "mcp_window.h"

/* dividend / divisor where the quotient is below 256. */
static inline int32_t divide(int32_t dividend, int32_t divisor)
{
#if !defined(MCP_NO_DIVISION)
    return dividend / divisor;
#else
    int32_t quotient = 0;
    MCP_ROLLED
    for (int32_t bit = 7; bit >= 0; bit--) {
        if (dividend >= divisor << bit) {
            dividend -= divisor << bit;
            quotient += 1 << bit;
        }
    }
    return quotient;
#endif
}

static inline int32_t mean(int32_t sum, int32_t count)
{
    return sum < 0 ? -divide(count / 2 - sum, count) : divide(count / 2 + sum, count);
}

void mcp_average_pool2d_s8(const mcp_pool2d *op, const int8_t *input, int8_t *output)
{
    const int32_t channels = op->channels;
    const int32_t line = op->in_w * channels;
    MCP_ROLLED
    for (int32_t oy = 0; oy < op->out_h; oy++) {
        const mcp_span y = mcp_clip_dense(oy * op->stride_h - op->pad_top, op->kernel_h, op->in_h);
        MCP_ROLLED
        for (int32_t ox = 0; ox < op->out_w; ox++) {
            const mcp_span x = mcp_clip_dense(ox * op->stride_w - op->pad_left, op->kernel_w, op->in_w);
            const int32_t count = (y.end - y.first) * (x.end - x.first);
            const int8_t *corner = input + y.start * line + x.start * channels;
            MCP_ROLLED
            for (int32_t c = 0; c < channels; c++) {
                const int8_t *row = corner++;
                int32_t sum = 0;
                MCP_ROLLED
                for (int32_t ky = y.first; ky < y.end; ky++) {
                    const int8_t *in = row;
                    MCP_ROLLED
                    for (int32_t kx = x.first; kx < x.end; kx++) {
                        sum += *in;
                        in += channels;
                    }
                    row += line;
                }
                *output++ = mcp_clamp(mean(sum, count), op->clamp_min, op->clamp_max);
            }
        }
    }
}
