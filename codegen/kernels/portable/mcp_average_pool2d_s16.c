/* Mean over a window of int16 values, padding left out, rounded half away from zero. */
#include "mcp_kernels.h"
#include "mcp_wide.h"
#include "mcp_window.h"

void mcp_average_pool2d_s16(const mcp_pool2d *op, const int16_t *input, int16_t *output)
{
    const int32_t channels = op->channels;
    MCP_ROLLED
    for (int32_t oy = 0; oy < op->out_h; oy++) {
        const mcp_span y = mcp_clip_dense(oy * op->stride_h - op->pad_top, op->kernel_h, op->in_h);
        MCP_ROLLED
        for (int32_t ox = 0; ox < op->out_w; ox++) {
            const mcp_span x = mcp_clip_dense(ox * op->stride_w - op->pad_left, op->kernel_w, op->in_w);
            const int32_t count = (y.end - y.first) * (x.end - x.first);
            const int32_t line = (op->in_w - (x.end - x.first)) * channels;
            const int16_t *corner = input + (y.start * op->in_w + x.start) * channels;
            MCP_ROLLED
            for (int32_t c = channels; c > 0; c--) {
                const int16_t *in = corner++;
                int32_t sum = 0;
                MCP_ROLLED
                for (int32_t ky = y.end - y.first; ky > 0; ky--) {
                    MCP_ROLLED
                    for (int32_t kx = x.end - x.first; kx > 0; kx--) {
                        sum += *in;
                        in += channels;
                    }
                    in += line;
                }
                *output++ = mcp_clamp_wide(mcp_mean_wide(sum, count), op->clamp_min, op->clamp_max);
            }
        }
    }
}
