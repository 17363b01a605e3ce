/* Depthwise convolution, 3x3, stride 1 or 2 in both directions, one output channel per input channel, at
 * least two channels.
 *
 * A strip of rows of two channels is copied to scratch as 16-bit numbers, two columns to a word and the words
 * of a pair of columns one below the other, with the input's zero point around the image.  Then one channel's
 * weights stay in registers and nothing is in the way of the products: outputs are made two rows at a time,
 * with stride 1 two columns at a time.
 */
#include "mcp_dsp.h"
#include "mcp_kernels.h"

#define PLANE_WORDS 320

typedef struct {
    const mcp_conv2d *op;
    int32_t stride, line; /* line: of outputs, in bytes */
    int32_t pairs;        /* of columns */
    int32_t rows;         /* outputs of a whole strip: an even number */
    int32_t height;       /* words of a pair of columns */
    int32_t first, count; /* outputs of this strip */
} strip;

typedef struct {
    uint32_t left[3], right[3]; /* per row of taps: the first and the second, the second and the third */
    int32_t bias;
    mcp_scaling scaling;
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

/* The outputs of pairs of columns, stride 1. */
static MCP_APART void column_pairs(const strip *s, const volatile channel *k, const uint32_t *x,
                                   int8_t *output)
{
    const int32_t next = s->op->out_c, height = s->height;
    int32_t columns = s->op->out_w;
    MCP_ROLLED
    do {
        const uint32_t *const end = x + height, *y = end;
        int32_t line = s->line, blocks = s->count / 2;
        int8_t *to = output;
        if (blocks == 0) {
            line = 0;
            blocks = 1;
        }
        do {
            MCP_ROLLED
            do {
                mcp_two_sums first, second;
                mcp_scaling scaling;
                int8_t *below;
                uint32_t left, right, p, q;
                p = x[0];
                q = y[0];
                left = k->left[0];
                right = k->right[0];
                const int32_t bias = k->bias;
                first = mcp_first_taps(p, q, left, right, bias);
                p = x[1];
                q = y[1];
                second = mcp_first_taps(p, q, left, right, bias);
                left = k->left[1];
                right = k->right[1];
                first = mcp_add_taps(p, q, left, right, first);
                p = x[2];
                q = y[2];
                second = mcp_add_taps(p, q, left, right, second);
                left = k->left[2];
                right = k->right[2];
                first = mcp_add_taps(p, q, left, right, first);
                p = x[3];
                q = y[3];
                second = mcp_add_taps(p, q, left, right, second);
                scaling.multiplier = k->scaling.multiplier;
                scaling.power = k->scaling.power;
                scaling.offset = k->scaling.offset;
                below = to + line;
                below[0] = mcp_rescale(second.a, scaling);
                below[next] = mcp_rescale(second.b, scaling);
                to[0] = mcp_rescale(first.a, scaling);
                to[next] = mcp_rescale(first.b, scaling);
                to = below + line;
                x += 2;
                y += 2;
            } while (--blocks > 0);
            blocks = line == 0 ? 0 : s->count % 2;
            line = 0; /* an odd row is the first one of a block whose second one is overwritten */
        } while (blocks > 0);
        x = end;
        output += 2 * next;
        columns -= 2;
    } while (columns > 1);
}

/* The outputs of single columns, any stride. */
static MCP_APART void single_columns(const strip *s, const volatile channel *k, const uint32_t *x,
                                     int8_t *output, int32_t columns)
{
    const int32_t stride = s->stride;
    MCP_ROLLED
    for (; columns > 0; columns--) {
        const uint32_t *const end = x + s->height, *y = end;
        int32_t line = s->line;
        int8_t *to = output;
        MCP_ROLLED
        for (int32_t left = s->count; left > 0; left -= 2) {
            int32_t first, second;
            mcp_scaling scaling;
            uint32_t l = k->left[0], r = k->right[0];
            const int32_t bias = k->bias;
            const uint32_t *x2 = x + stride, *y2 = y + stride;
            first = mcp_left_taps(x[0], y[0], l, r, bias);
            second = mcp_left_taps(x2[0], y2[0], l, r, bias);
            l = k->left[1];
            r = k->right[1];
            first = mcp_left_taps(x[1], y[1], l, r, first);
            second = mcp_left_taps(x2[1], y2[1], l, r, second);
            l = k->left[2];
            r = k->right[2];
            first = mcp_left_taps(x[2], y[2], l, r, first);
            second = mcp_left_taps(x2[2], y2[2], l, r, second);
            scaling.multiplier = k->scaling.multiplier;
            scaling.power = k->scaling.power;
            scaling.offset = k->scaling.offset;
            line = left == 1 ? 0 : line;
            to[line] = mcp_rescale(second, scaling);
            to[0] = mcp_rescale(first, scaling);
            to += 2 * line;
            x = x2 + stride;
            y = y2 + stride;
        }
        x = end;
        output += s->op->out_c;
    }
}

/* Any shift, slowly. */
static MCP_APART void one_by_one(const strip *s, const uint32_t *plane, int8_t *output, int32_t c)
{
    const mcp_conv2d *const op = s->op;
    MCP_ROLLED
    for (int32_t y = 0; y < s->count; y++) {
        MCP_ROLLED
        for (int32_t x = 0; x < op->out_w; x++) {
            const int8_t *weight = op->weight + 9 * c;
            int32_t sum = op->bias[c];
            MCP_ROLLED
            for (int32_t tap = 0; tap < 9; tap++) {
                const int32_t column = x * s->stride + tap % 3;
                const uint32_t word = plane[column / 2 * s->height + y * s->stride + tap / 3];
                sum += (int16_t)(column % 2 == 0 ? word : word >> 16) * *weight++;
            }
            output[y * s->line + x * op->out_c] =
                mcp_requantize_wide(sum, op->multiplier[c], op->shift[c], op->output_offset);
        }
    }
}

static MCP_APART void compute(const strip *s, const uint32_t *plane, int8_t *output, int32_t c)
{
    const mcp_conv2d *const op = s->op;
    const int8_t *weight = op->weight + 9 * c;
    int32_t columns = op->out_w;
    channel k;
    output += s->first * s->line;
    if (op->shift[c] > -2) {
        one_by_one(s, plane, output, c);
        return;
    }
    for (int32_t row = 0; row < 3; row++) {
        k.left[row] = mcp_pair(weight[0], weight[1]);
        k.right[row] = mcp_pair(weight[1], weight[2]);
        weight += 3;
    }
    k.bias = op->bias[c];
    k.scaling = mcp_scaling_of(op->multiplier[c], op->shift[c], op->output_offset);
    if (s->stride == 1 && columns > 1) {
        column_pairs(s, &k, plane, output);
        plane += columns / 2 * s->height;
        output += (columns & ~1) * op->out_c;
        columns &= 1;
    }
    single_columns(s, &k, plane, output, columns);
}

void mcp_depthwise_conv2d_3x3_s8_dsp(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch)
{
    uint32_t *const plane = scratch;
    const uint32_t zeros = mcp_pair(-op->input_offset, -op->input_offset);
    strip s;
    s.op = op;
    s.stride = op->stride_w;
    s.line = op->out_w * op->out_c;
    s.pairs = ((op->out_w - 1) * s.stride + 4) / 2;
    s.rows = (PLANE_WORDS / s.pairs - 3 + s.stride) / s.stride & ~1;
    s.rows = s.rows < 2 ? 2 : s.rows;
    s.rows = s.rows > op->out_h ? (op->out_h + 1) & ~1 : s.rows;
    s.height = (s.rows - 1) * s.stride + 3;
    fill(&s, plane, 0, s.height, zeros);
    MCP_ROLLED
    for (int32_t next = 0; next < op->out_c; next += 2) {
        /* The last channel of an odd number comes with the one before it, which is done already. */
        const int32_t last = op->out_c - 2, c = next < last ? next : last;
        MCP_ROLLED
        for (s.first = 0; s.first < op->out_h; s.first += s.rows) {
            s.count = op->out_h - s.first < s.rows ? op->out_h - s.first : s.rows;
            gather(&s, input + c, plane, zeros);
            if (c == next) {
                compute(&s, plane, output + c, c);
            }
            compute(&s, plane + s.pairs * s.height, output + c + 1, c + 1);
        }
    }
    mcp_clamp_all(output, output + op->out_h * s.line, op->clamp_min, op->clamp_max);
}
