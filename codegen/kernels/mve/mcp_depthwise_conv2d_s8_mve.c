/* Depthwise convolution with channel multiplier 1 and no dilation: eight channels at a time, the last eight
 * of eight or more being computed twice in part.  Weights: all taps of eight channels after those of the
 * eight before.  Windows that hang over the edge are gathered in scratch. */
#include "mcp_patch.h"

typedef struct {
    const mcp_conv2d *op;
    int32_t line; /* input: from the end of a row of taps to the next row */
    int32_t nine; /* whether it is a 3x3 window and two products fit into 16 bits, as they do but for -128 */
    int32_t down; /* whether all shifts are to the right */
} layer;

#if defined(MCP_MVE)
/* One pair of taps of nine_taps: both products are added in 16 bits, then widened. */
#define TAP_PAIR(first, second)                                                                              \
    "vldrb.s16 %q[a], [%[in]]\n\t"                                                                           \
    "add %[in], %[in], %[" first "]\n\t"                                                                     \
    "vldrb.s16 %q[b], [%[weight]], #8\n\t"                                                                   \
    "vmul.i16 %q[a], %q[a], %q[b]\n\t"                                                                       \
    "vldrb.s16 %q[b], [%[in]]\n\t"                                                                           \
    "add %[in], %[in], %[" second "]\n\t"                                                                    \
    "vldrb.s16 %q[c], [%[weight]], #8\n\t"                                                                   \
    "vmul.i16 %q[b], %q[b], %q[c]\n\t"                                                                       \
    "vadd.i16 %q[a], %q[a], %q[b]\n\t" TAP_SUM

#define TAP_SUM                                                                                              \
    "vmovlb.s16 %q[b], %q[a]\n\t"                                                                            \
    "vadd.i32 %q[even], %q[even], %q[b]\n\t"                                                                 \
    "vmovlt.s16 %q[a], %q[a]\n\t"                                                                            \
    "vadd.i32 %q[odd], %q[odd], %q[a]\n\t"

/* sums + the products of a 3x3 window of eight channels: step from tap to tap, turn from the last of a row to
 * the first of the next.  Two products must fit 16 bits. */
static inline mcp_lanes nine_taps(const int8_t *in, int32_t step, int32_t turn, const int8_t *weight,
                                  mcp_lanes sums)
{
    mcp_halves a, b, c;
    __asm__(TAP_PAIR("step", "step") TAP_PAIR("turn", "step") TAP_PAIR("step", "turn")
                TAP_PAIR("step", "step") "vldrb.s16 %q[a], [%[in]]\n\t"
                                         "vldrb.s16 %q[b], [%[weight]]\n\t"
                                         "vmul.i16 %q[a], %q[a], %q[b]\n\t" TAP_SUM
            : [even] "+&w"(sums.even), [odd] "+&w"(sums.odd), [in] "+&r"(in), [weight] "+&r"(weight),
              [a] "=&w"(a), [b] "=&w"(b), [c] "=&w"(c)
            : [step] "r"(step), [turn] "r"(turn)
            : "memory");
    return sums;
}
#else
#define nine_taps(in, step, turn, weight, sums) any_window(l, in, weight, sums)
#endif

static inline mcp_lanes any_window(const layer *l, const int8_t *in, const int8_t *weight, mcp_lanes sums)
{
    MCP_ROLLED
    for (int32_t ky = l->op->kernel_h; ky > 0; ky--) {
        MCP_ROLLED
        for (int32_t kx = l->op->kernel_w; kx > 0; kx--) {
            const mcp_halves product = mcp_multiply_halves(mcp_load_halves(in), mcp_load_halves(weight));
            const mcp_lanes wide = mcp_widen_lanes(product);
            sums.even = mcp_add(sums.even, wide.even);
            sums.odd = mcp_add(sums.odd, wide.odd);
            in += l->op->in_c;
            weight += 8;
        }
        in += l->line;
    }
    return sums;
}

static inline void pixel(const layer *l, const int8_t *in, int8_t *output)
{
    const mcp_conv2d *op = l->op;
    const int32_t depth = op->in_c, last = depth - 8, taps = op->kernel_h * op->kernel_w;
    const int8_t *weight = op->weight;
    MCP_ROLLED
    for (int32_t c = 0; c < depth; c += 8) {
        c = c > last ? last : c;
        mcp_lanes sums = mcp_load_lanes(op->bias + c);
        sums = l->nine ? nine_taps(in + c, depth, depth + l->line, weight, sums)
                       : any_window(l, in + c, weight, sums);
        weight += 8 * taps;
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
    const int32_t line = (op->in_w - op->kernel_w) * depth;
    layer l = {op, line, 0, 0};
    l.nine = op->kernel_h == 3 && op->kernel_w == 3 && mcp_smallest(op->weight, 9 * depth) > -128;
    l.down = mcp_largest(op->shift, depth) < 0;
    MCP_ROLLED
    for (int32_t oy = 0; oy < op->out_h; oy++) {
        const int32_t top = oy * op->stride_h - op->pad_top;
        const mcp_span y = mcp_clip_dense(top, op->kernel_h, op->in_h);
        MCP_ROLLED
        for (int32_t ox = 0; ox < op->out_w; ox++) {
            const int32_t left = ox * op->stride_w - op->pad_left;
            const int8_t *in = scratch;
            if (y.end - y.first == op->kernel_h && left >= 0 && left + op->kernel_w <= op->in_w) {
                in = input + (top * op->in_w + left) * depth;
                l.line = line;
            } else {
                mcp_patch(op, input, y, ox, scratch);
                l.line = 0;
            }
            pixel(&l, in, output);
            output += depth;
        }
    }
}
