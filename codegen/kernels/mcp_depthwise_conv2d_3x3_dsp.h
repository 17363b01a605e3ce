/* Depthwise convolution, 3x3, stride 1 or 2 in both directions, one output channel per input channel, at
 * least two channels.
 *
 * A strip of rows of two channels is copied to scratch as 16-bit numbers, two columns to a word and the words
 * of a pair of columns one below the other, with the input's zero point around the image.  Then one channel's
 * weights stay in registers and nothing is in the way of the products: outputs are made two rows at a time,
 * with stride 1 two columns at a time.
 */
#ifndef MCP_DEPTHWISE_CONV2D_3X3_DSP_H
#define MCP_DEPTHWISE_CONV2D_3X3_DSP_H

#include "mcp_channels.h"
#include "mcp_dsp.h"
#include "mcp_kernels.h"

#define PLANE_WORDS 320

typedef struct {
    const mcp_conv2d *op;
    int32_t stride;
    int32_t pairs;        /* of columns */
    int32_t rows;         /* outputs of a whole strip: an even number */
    int32_t height;       /* words of a pair of columns */
    int32_t first, count; /* rows of outputs of this strip */
    int32_t blocks, odd;  /* of two rows; whether one row is left over */
    int32_t line;         /* from one row of outputs to the next, in bytes; 0 where there is but one */
} strip;

/* What the blocks of outputs of a channel have in common; the assembly counts on this order. */
typedef struct {
    struct {
        uint32_t left, right; /* the first and the second tap of a row, the second and the third */
    } row[3];
    int32_t bias;
    mcp_scaling scaling;
    int32_t next, line; /* bytes to the next output of a row and to the next row, 0 if there is none */
} channel;

/* Rows first..end-1 of every column of both planes. */
static MCP_APART void fill(const strip *s, uint32_t *plane, int32_t first, int32_t end, uint32_t value)
{
    MCP_ROLLED
    for (int32_t pair = 2 * s->pairs; pair > 0; pair--) {
        MCP_ROLLED
        for (int32_t row = first; row < end; row++) {
            plane[row] = value;
            MCP_KEEP_LOOP();
        }
        plane += s->height;
    }
}

/* The rows that the last strip needed too, to the top. */
static MCP_APART void keep(const strip *s, uint32_t *plane)
{
    const int32_t from = s->rows * s->stride;
    MCP_ROLLED
    for (int32_t pair = 2 * s->pairs; pair > 0; pair--) {
        plane[0] = plane[from];
        if (s->stride == 1) {
            plane[1] = plane[from + 1];
        }
        plane += s->height;
    }
}

/* Two channels of pairs of columns. */
static MCP_APART void copy_pairs(const strip *s, uint32_t *plane, const int8_t *input, int32_t pairs,
                                 int32_t rows)
{
    const int32_t next = s->op->in_c, line = s->op->in_w * next, other = s->pairs * s->height;
    MCP_ROLLED
    for (; pairs > 0; pairs--) {
        const int8_t *from = input;
        uint32_t *to = plane, *too = plane + other;
        MCP_UNROLLED_TWICE
        for (int32_t left = rows; left > 0; left--) {
            const uint32_t bytes = mcp_load_half(from) | mcp_load_half(from + next) << 16;
            *to++ = mcp_even_bytes(bytes);
            *too++ = mcp_odd_bytes(bytes);
            from += line;
        }
        plane += s->height;
        input += 2 * next;
    }
}

/* Two channels of a column at the edge: the upper or the lower half of its words. */
static MCP_APART void copy_half(const strip *s, uint32_t *plane, const int8_t *input, int32_t upper,
                                int32_t rows)
{
    const int32_t line = s->op->in_w * s->op->in_c, other = s->pairs * s->height;
    MCP_ROLLED
    for (; rows > 0; rows--) {
        mcp_store_half((int8_t *)plane + 2 * upper, input[0]);
        mcp_store_half((int8_t *)(plane + other) + 2 * upper, input[1]);
        input += line;
        plane++;
    }
}

/* What of the input a strip needs and does not have yet.  Padding left and right is there already. */
static MCP_APART void gather(const strip *s, const int8_t *input, uint32_t *plane, uint32_t zeros)
{
    const mcp_conv2d *const op = s->op;
    const int32_t kept = s->first == 0 ? 0 : 3 - s->stride;
    const int32_t begin = s->first * s->stride - op->pad_top, end = begin + (s->count - 1) * s->stride + 3;
    const int32_t first = begin + kept < 0 ? 0 : begin + kept, last = end < op->in_h ? end : op->in_h;
    const int32_t before = (op->pad_left + 1) / 2, skipped = op->pad_left % 2;
    int32_t pairs = (op->in_w - skipped) / 2;
    pairs = pairs < s->pairs - before ? pairs : s->pairs - before;
    if (kept > 0) {
        keep(s, plane);
    }
    if (s->rows < op->out_h && first - begin > kept) {
        fill(s, plane, kept, first - begin, zeros);
    }
    if (s->rows < op->out_h && end > last) {
        fill(s, plane, last - begin, end - begin, zeros);
    }
    plane += first - begin + before * s->height;
    input += first * op->in_w * op->in_c;
    if (skipped) {
        copy_half(s, plane - s->height, input, 1, last - first);
        input += op->in_c;
    }
    copy_pairs(s, plane, input, pairs, last - first);
    if (before + pairs < s->pairs && skipped + 2 * pairs < op->in_w) {
        copy_half(s, plane + pairs * s->height, input + 2 * pairs * op->in_c, 0, last - first);
    }
}

/* Where a block is: the pixels 0 and 1, 2 and 3 of its first row; its first output. */
typedef struct {
    const uint32_t *x, *y;
    int8_t *to;
} place;

#if defined(MCP_DSP)
/* clang-format off */
#define PIXELS(end) "ldr %[p], [%[x]" end "\n\tldr %[q], [%[y]" end "\n\t"
#define TAPS(left, right) "ldr %[l], [%[k], #" left "]\n\tldr %[r], [%[k], #" right "]\n\t"
/* to = from + a row of taps, for the left and for the right one of two outputs */
#define LEFT(to, from) \
    "smlad %[" to "], %[p], %[l], %[" from "]\n\tsmlabt %[" to "], %[q], %[r], %[" to "]\n\t"
#define RIGHT(to, from) \
    "smlatb %[" to "], %[p], %[l], %[" from "]\n\tsmlad %[" to "], %[q], %[r], %[" to "]\n\t"
/* multiplier, power, offset and line to p, q, l and r */
#define SCALING \
    "ldr %[p], [%[k], #28]\n\tldr %[q], [%[k], #32]\n\tldr %[l], [%[k], #36]\n\tldr %[r], [%[k], #44]\n\t"
#define SCALE(sum) \
    "smmlar %[" sum "], %[" sum "], %[p], %[" sum "]\n\tadd %[" sum "], %[" sum "], %[" sum "], asr #31\n\t" \
    "smmlar %[" sum "], %[" sum "], %[q], %[l]\n\tssat %[" sum "], #8, %[" sum "]\n\t"

/* Two by two outputs, stride 1; goes on to the next two rows.  Every tap is loaded once, between its use in
 * the first and in the second row of outputs: compilers would rather keep all of them in registers, and
 * everything else on the stack. */
static inline place four_outputs(place at, const channel *k)
{
    int32_t a, b, c, d;
    uint32_t p, q, l, r;
    __asm__ volatile(
        PIXELS("]") TAPS("0", "4") "ldr %[d], [%[k], #24]\n\t"
        LEFT("a", "d") RIGHT("b", "d")
        PIXELS(", #4]")
        LEFT("c", "d") RIGHT("d", "d")
        TAPS("8", "12")
        LEFT("a", "a") RIGHT("b", "b")
        PIXELS(", #8]!")
        LEFT("c", "c") RIGHT("d", "d")
        TAPS("16", "20")
        LEFT("a", "a") RIGHT("b", "b")
        PIXELS(", #4]")
        LEFT("c", "c") RIGHT("d", "d")
        SCALING
        SCALE("c") SCALE("d") SCALE("a") SCALE("b")
        "ldr %[p], [%[k], #40]\n\t" /* next */
        "add %[q], %[to], %[r]\n\t"
        "add %[l], %[q], %[r]\n\t"
        "strb %[c], [%[q]]\n\t"
        "strb %[d], [%[q], %[p]]\n\t"
        "strb %[a], [%[to]]\n\t"
        "strb %[b], [%[to], %[p]]\n\t"
        "mov %[to], %[l]"
        : [x] "+r"(at.x), [y] "+r"(at.y), [to] "+r"(at.to),
          [a] "=&r"(a), [b] "=&r"(b), [c] "=&r"(c), [d] "=&r"(d),
          [p] "=&r"(p), [q] "=&r"(q), [l] "=&r"(l), [r] "=&r"(r)
        : [k] "r"(k)
        : "memory");
    return at;
}

/* Two outputs, one below the other; the second one's pixels lie `step` bytes further in scratch. */
static inline place two_outputs(place at, const channel *k, int32_t step)
{
    int32_t a, c;
    uint32_t p, q, l, r;
    __asm__ volatile(
        TAPS("0", "4") PIXELS(", %[step]]") "ldr %[a], [%[k], #24]\n\t"
        LEFT("c", "a")
        PIXELS("], #4")
        LEFT("a", "a")
        TAPS("8", "12") PIXELS(", %[step]]")
        LEFT("c", "c")
        PIXELS("], #4")
        LEFT("a", "a")
        TAPS("16", "20") PIXELS(", %[step]]")
        LEFT("c", "c")
        PIXELS("], #-8")
        LEFT("a", "a")
        SCALING
        SCALE("c") SCALE("a")
        "add %[x], %[x], %[step], lsl #1\n\t"
        "add %[y], %[y], %[step], lsl #1\n\t"
        "strb %[c], [%[to], %[r]]\n\t"
        "strb %[a], [%[to]]\n\t"
        "add %[to], %[to], %[r], lsl #1"
        : [x] "+r"(at.x), [y] "+r"(at.y), [to] "+r"(at.to), [a] "=&r"(a), [c] "=&r"(c),
          [p] "=&r"(p), [q] "=&r"(q), [l] "=&r"(l), [r] "=&r"(r)
        : [k] "r"(k), [step] "r"(step)
        : "memory");
    return at;
}
/* clang-format on */
#else
static inline int8_t left_output(const uint32_t *x, const uint32_t *y, const channel *k)
{
    int32_t sum = k->bias;
    for (int32_t row = 0; row < 3; row++) {
        sum = mcp_multiply_low_high(y[row], k->row[row].right, mcp_dot_pair(x[row], k->row[row].left, sum));
    }
    return mcp_rescale(sum, k->scaling);
}

static inline int8_t right_output(const uint32_t *x, const uint32_t *y, const channel *k)
{
    int32_t sum = k->bias;
    for (int32_t row = 0; row < 3; row++) {
        sum = mcp_multiply_low_high(k->row[row].left, x[row], mcp_dot_pair(y[row], k->row[row].right, sum));
    }
    return mcp_rescale(sum, k->scaling);
}

static inline place four_outputs(place at, const channel *k)
{
    at.to[k->line] = left_output(at.x + 1, at.y + 1, k);
    at.to[k->line + k->next] = right_output(at.x + 1, at.y + 1, k);
    at.to[0] = left_output(at.x, at.y, k);
    at.to[k->next] = right_output(at.x, at.y, k);
    return (place){at.x + 2, at.y + 2, at.to + 2 * k->line};
}

static inline place two_outputs(place at, const channel *k, int32_t step)
{
    const int32_t stride = step / 4;
    at.to[k->line] = left_output(at.x + stride, at.y + stride, k);
    at.to[0] = left_output(at.x, at.y, k);
    return (place){at.x + 2 * stride, at.y + 2 * stride, at.to + 2 * k->line};
}
#endif

/* The outputs of pairs of columns, stride 1, or of single columns. */
static inline void columns(const strip *s, channel *k, const uint32_t *plane, int8_t *output, int32_t count,
                           int32_t width)
{
    const int32_t height = s->height, step = 4 * s->stride;
    MCP_ROLLED
    for (; count > 0; count--) {
        place at = {plane, plane + height, output};
        int32_t blocks = s->blocks;
        k->line = s->line;
        for (;;) {
            do {
                at = width == 2 ? four_outputs(at, k) : two_outputs(at, k, step);
            } while (--blocks > 0);
            if (k->line == 0 || !s->odd) {
                break;
            }
            k->line = 0; /* the row too many is written first, and overwritten */
        }
        plane += height;
        output += width * k->next;
    }
}

static MCP_APART void column_pairs(const strip *s, channel *k, const uint32_t *plane, int8_t *output,
                                   int32_t count)
{
    columns(s, k, plane, output, count, 2);
}

static MCP_APART void single_columns(const strip *s, channel *k, const uint32_t *plane, int8_t *output,
                                     int32_t count)
{
    columns(s, k, plane, output, count, 1);
}

/* Any shift, slowly. */
static MCP_APART void one_by_one(const strip *s, const uint32_t *plane, int8_t *output, int32_t c,
                                 int32_t shared)
{
    const mcp_conv2d *const op = s->op;
    const mcp_channel_scale scale = mcp_scale_of(op, c, shared);
    MCP_ROLLED
    for (int32_t y = 0; y < s->count; y++) {
        MCP_ROLLED
        for (int32_t x = 0; x < op->out_w; x++) {
            const int8_t *weight = op->weight + 9 * c;
            int32_t sum = mcp_bias_of(op, c, shared);
            MCP_ROLLED
            for (int32_t tap = 0; tap < 9; tap++) {
                const int32_t column = x * s->stride + tap % 3;
                const uint32_t word = plane[column / 2 * s->height + y * s->stride + tap / 3];
                sum += (int16_t)(column % 2 == 0 ? word : word >> 16) * *weight++;
            }
            output[(y * op->out_w + x) * op->out_c] =
                mcp_requantize_wide(sum, scale.multiplier, scale.shift, op->output_offset);
        }
    }
}

static MCP_APART void compute(const strip *s, const uint32_t *plane, int8_t *output, int32_t c,
                              int32_t shared)
{
    const mcp_conv2d *const op = s->op;
    const int8_t *weight = op->weight + 9 * c;
    const mcp_channel_scale scale = mcp_scale_of(op, c, shared);
    int32_t count = op->out_w;
    channel k;
    output += s->first * op->out_w * op->out_c;
    if (scale.shift > -2) {
        one_by_one(s, plane, output, c, shared);
        return;
    }
    for (int32_t row = 0; row < 3; row++) {
        k.row[row].left = mcp_pair(weight[0], weight[1]);
        k.row[row].right = mcp_pair(weight[1], weight[2]);
        weight += 3;
    }
    k.bias = mcp_bias_of(op, c, shared);
    k.scaling = mcp_scaling_of(scale.multiplier, scale.shift, op->output_offset);
    k.next = op->out_c;
    if (s->stride == 1) {
        column_pairs(s, &k, plane, output, count / 2);
        plane += count / 2 * s->height;
        output += (count & ~1) * op->out_c;
        count &= 1;
    }
    single_columns(s, &k, plane, output, count);
}

/* As many strips as the scratch needs, of equal height. */
static strip cut(const mcp_conv2d *op)
{
    strip s = {.op = op, .stride = op->stride_w};
    int32_t most, strips;
    s.pairs = ((op->out_w - 1) * s.stride + 4) / 2;
    most = (PLANE_WORDS / s.pairs - 3 + s.stride) / s.stride & ~1;
    most = most < 2 ? 2 : most;
    strips = (op->out_h + most - 1) / most;
    s.rows = ((op->out_h + strips - 1) / strips + 1) & ~1;
    s.height = (s.rows - 1) * s.stride + 3;
    return s;
}

static inline void mcp_run_depthwise_conv2d_3x3_dsp(const mcp_conv2d *op, const int8_t *input, int8_t *output,
                                                    void *scratch, int32_t shared)
{
    uint32_t *const plane = scratch;
    const uint32_t zeros = mcp_pair(-op->input_offset, -op->input_offset);
    strip s = cut(op);
    fill(&s, plane, 0, s.height, zeros);
    MCP_ROLLED
    for (int32_t next = 0; next < op->out_c; next += 2) {
        /* The last channel of an odd number comes with the one before it, which is done already. */
        const int32_t last = op->out_c - 2, c = next < last ? next : last;
        MCP_ROLLED
        for (s.first = 0; s.first < op->out_h; s.first += s.rows) {
            s.count = op->out_h - s.first < s.rows ? op->out_h - s.first : s.rows;
            s.odd = s.count & 1 && s.count > 1;
            s.blocks = s.count > 1 ? s.count >> 1 : 1;
            s.line = s.count > 1 ? op->out_w * op->out_c : 0;
            gather(&s, input + c, plane, zeros);
            if (c == next) {
                compute(&s, plane, output + c, c, shared);
            }
            compute(&s, plane + s.pairs * s.height, output + c + 1, c + 1, shared);
        }
    }
    mcp_clamp_all(output, output + op->out_h * op->out_w * op->out_c, op->clamp_min, op->clamp_max);
}

#endif
