/* Depthwise convolution with channel multiplier 1 and no dilation: eight channels at a time, the last eight
 * of eight or more being computed twice in part.  Windows that hang over the edge are gathered in scratch. */
#include "mcp_patch.h"

typedef struct {
    const mcp_conv2d *op;
    int32_t line;  /* input: from the end of a row of taps to the next row */
    int32_t pairs; /* whether two products fit into 16 bits: not if a weight is -128 */
    int32_t down;  /* whether all shifts are to the right */
} layer;

static inline mcp_lanes add_lanes(mcp_lanes sums, mcp_halves products)
{
    const mcp_lanes wide = mcp_widen_lanes(products);
    sums.even = mcp_add(sums.even, wide.even);
    sums.odd = mcp_add(sums.odd, wide.odd);
    return sums;
}

static inline mcp_halves tap(const int8_t *in, const int8_t *weight)
{
    return mcp_multiply_halves(mcp_load_halves(in), mcp_load_halves(weight));
}

static inline mcp_lanes products(const layer *l, const int8_t *in, const int8_t *w, mcp_lanes sums)
{
    const int32_t step = l->op->in_c;
    MCP_ROLLED
    for (int32_t ky = l->op->kernel_h; ky > 0; ky--) {
        int32_t kx = l->op->kernel_w;
        if (l->pairs) {
            MCP_ROLLED
            for (; kx >= 2; kx -= 2) {
                const mcp_halves first = tap(in, w);
                sums = add_lanes(sums, mcp_add_halves(first, tap(in + step, w + step)));
                in += 2 * step;
                w += 2 * step;
            }
        }
        MCP_ROLLED
        for (; kx > 0; kx--) {
            sums = add_lanes(sums, tap(in, w));
            in += step;
            w += step;
        }
        in += l->line;
    }
    return sums;
}

static inline void pixel(const layer *l, const int8_t *in, int8_t *output)
{
    const mcp_conv2d *op = l->op;
    const int32_t last = op->out_c - 8;
    MCP_ROLLED
    for (int32_t c = 0; c < op->out_c; c += 8) {
        c = c > last ? last : c;
        mcp_lanes sums = products(l, in + c, op->weight + c, mcp_load_lanes(op->bias + c));
        const mcp_lanes multipliers = mcp_load_lanes(op->multiplier + c);
        const mcp_lanes shifts = mcp_widen_lanes(mcp_load_halves(op->shift + c));
        if (MCP_LIKELY(l->down)) {
            sums.even = mcp_scale_down(sums.even, multipliers.even, shifts.even);
            sums.odd = mcp_scale_down(sums.odd, multipliers.odd, shifts.odd);
        } else {
            sums.even = mcp_scale_each(sums.even, multipliers.even, shifts.even);
            sums.odd = mcp_scale_each(sums.odd, multipliers.odd, shifts.odd);
        }
        mcp_output_lanes(output + c, sums, op->output_offset, op->clamp_min, op->clamp_max);
    }
}

void mcp_depthwise_conv2d_s8_mve(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch)
{
    const int32_t depth = op->in_c;
    layer inside = {op, (op->in_w - op->kernel_w) * depth, 0, 0};
    inside.pairs = mcp_smallest(op->weight, op->kernel_h * op->kernel_w * depth) > -128;
    inside.down = mcp_largest(op->shift, depth) < 0;
    layer edge = inside;
    edge.line = 0;
    MCP_ROLLED
    for (int32_t oy = 0; oy < op->out_h; oy++) {
        const int32_t top = oy * op->stride_h - op->pad_top;
        const mcp_span y = mcp_clip_dense(top, op->kernel_h, op->in_h);
        const int32_t whole = y.end - y.first == op->kernel_h;
        MCP_ROLLED
        for (int32_t ox = 0; ox < op->out_w; ox++) {
            const int32_t left = ox * op->stride_w - op->pad_left;
            if (whole && left >= 0 && left + op->kernel_w <= op->in_w) {
                pixel(&inside, input + (top * op->in_w + left) * depth, output);
            } else {
                mcp_patch(op, input, y, ox, scratch);
                pixel(&edge, scratch, output);
            }
            output += depth;
        }
    }
}
