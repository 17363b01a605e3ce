/* 3x3 convolution with stride 1: a pixel's three columns are those of its neighbours, too.
 *
 * Scratch holds cells, one for every pair of input channels of each of the three rows: that pair of eight
 * columns side by side.  The three taps of a row then need five loads of inputs for three pixels instead of
 * nine, and one pixel after the other is computed while the columns slide: columns 6 and 7 are also stored
 * as columns 0 and 1, so that nothing has to be moved. */
#ifndef MCP_CONV2D_3X3_DSP_H
#define MCP_CONV2D_3X3_DSP_H

#include "mcp_dsp.h"
#include "mcp_kernels.h"
#include "mcp_pairs.h"
#include "mcp_window.h"

enum { TAPS = 3, COLUMNS = 8, CELL = 2 * COLUMNS, CELLS = 2 * TAPS };

#if defined(MCP_DSP)
#define TAP(weight, x, y, z)                                                                                 \
    "sxtb16 r4, " weight "\n"                                                                                \
    "sxtb16 " weight ", " weight ", ror #8\n"                                                                \
    "smlad r8, r4, " x ", r8\n"                                                                              \
    "smlad r11, " weight ", " x ", r11\n"                                                                    \
    "smlad r9, r4, " y ", r9\n"                                                                              \
    "smlad r12, " weight ", " y ", r12\n" z
#define THIRD(x)                                                                                             \
    "smlad r10, r4, " x ", r10\n"                                                                            \
    "smlad lr, r3, " x ", lr\n"

/* Pairs of channels of three pixels, all or up to a slow one.  In the loop: r0 weights, r1 cell, r2, r5 and
 * r6 inputs, r3 and r4 weights of both channels, r7 end, sums r8 to r10 of the one channel, r11, r12 and lr
 * of the other.  The frame pointer, whichever register it is, is put back. */
static void run_three(mcp_pairs *state)
{
    register mcp_pairs *r0 __asm__("r0") = state;
    __asm__ volatile(
        "push {r0, r7, r11}\n"
        "mov r7, r0\n"
        "ldr r0, [r0, %[weight]]\n"
        "1:\n"
        "ldr r1, [r7, %[input]]\n"
        "ldr r7, [r7, %[end]]\n"
        "ldr r11, [r0, #4]\n"
        "ldr r8, [r0], #8\n"
        "mov r12, r11\n"
        "mov lr, r11\n"
        "mov r9, r8\n"
        "mov r10, r8\n"
        "2:\n"
        ".rept %c[cells]\n"
        "ldr r5, [r1, #4]\n"
        "ldr r6, [r1, #8]\n"
        "ldr r3, [r0], #12\n"
        "ldr r2, [r1], #32\n" TAP("r3", "r2", "r5",
                                  THIRD("r6")) "ldr r3, [r0, #-8]\n"
                                               "ldr r2, [r1, #-20]\n" TAP(
                                                   "r3", "r5", "r6",
                                                   THIRD("r2")) "ldr r3, [r0, #-4]\n"
                                                                "ldr r5, [r1, #-16]\n" TAP(
                                                                    "r3", "r6", "r2",
                                                                    THIRD("r5")) ".endr\n"
                                                                                 "cmp r1, r7\n"
                                                                                 "bne 2b\n" MCP_FINISH_PAIR
                                                                                 "pop {r0, r7, r11}\n"
        : "+r"(r0)
        : [cells] "i"(CELLS), MCP_PAIRS_FIELDS
        : "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r12", "lr", "cc", "memory");
}

/* The same for two pixels: there is room for all weights and inputs of a cell.  The third one is of no use.
 */
static void run_two(mcp_pairs *state)
{
    register mcp_pairs *r0 __asm__("r0") = state;
    __asm__ volatile("ldr r1, [r0, %[end]]\n"
                     "push {r0, r1, r7, r11}\n"
                     "mov r7, r0\n"
                     "ldr r0, [r0, %[weight]]\n"
                     "1:\n"
                     "ldr r1, [r7, %[input]]\n"
                     "ldr r11, [r0, #4]\n"
                     "ldr r8, [r0], #8\n"
                     "mov r12, r11\n"
                     "mov r9, r8\n"
                     "2:\n"
                     ".rept %c[cells]\n"
                     "ldr r10, [r0, #4]\n"
                     "ldr lr, [r0, #8]\n"
                     "ldr r3, [r0], #12\n"
                     "ldr r5, [r1, #4]\n"
                     "ldr r6, [r1, #8]\n"
                     "ldr r7, [r1, #12]\n"
                     "ldr r2, [r1], #32\n" TAP("r3", "r2", "r5", "") TAP("r10", "r5", "r6", "")
                         TAP("lr", "r6", "r7", "") ".endr\n"
                                                   "ldr r4, [sp, #4]\n"
                                                   "cmp r1, r4\n"
                                                   "bne 2b\n" MCP_FINISH_PAIR "pop {r0, r1, r7, r11}\n"
                     : "+r"(r0)
                     : [cells] "i"(CELLS), MCP_PAIRS_FIELDS
                     : "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r12", "lr", "cc", "memory");
}
#else
/* The sums of the next pair of channels, of so many pixels. */
static void run(mcp_pairs *state, int32_t pixels)
{
    const int8_t *w = state->weight + 8;
    for (int32_t i = 0; i < pixels; i++) {
        state->sums[i] = (int32_t)mcp_load_word(state->weight);
        state->sums[3 + i] = (int32_t)mcp_load_word(state->weight + 4);
    }
    for (const int16_t *cell = state->input; cell != state->end; cell += CELL) {
        for (int32_t tap = 0; tap < TAPS; tap++) {
            const uint32_t word = mcp_load_word(w);
            for (int32_t i = 0; i < pixels; i++) {
                const uint32_t pair = mcp_load_word(cell + 2 * (tap + i));
                state->sums[i] = mcp_dot_pair(mcp_even_bytes(word), pair, state->sums[i]);
                state->sums[3 + i] = mcp_dot_pair(mcp_odd_bytes(word), pair, state->sums[3 + i]);
            }
            w += 4;
        }
    }
    state->weight = w + MCP_SCALE_BYTES;
}

static void run_three(mcp_pairs *state)
{
    run(state, 3);
}

static void run_two(mcp_pairs *state)
{
    state->sums[2] = state->sums[5] = 0;
    run(state, 2);
}
#endif

/* One pixel's channels as pairs in the cells of a row, given its place in the first of them; returns that of
 * the next row. */
static int16_t *store_pixel(int16_t *cell, const int8_t *input, int32_t count, uint32_t offsets)
{
    int16_t *output = cell;
#if defined(MCP_DSP)
    uint32_t a, b, c, d, odd;
    __asm__ volatile(MCP_WIDEN_LOOP(MCP_EXTEND "str \\word, [%[out]], #32\n"
                                               "str %[odd], [%[out]], #32\n")
                     : MCP_WIDEN_OPERANDS
                     : [offsets] "r"(offsets)
                     : "cc", "memory");
    count += 4;
#else
    for (; count >= 4; count -= 4) {
        const uint32_t word = mcp_load_word(input);
        mcp_store_word(output, mcp_add_even_bytes(offsets, word));
        mcp_store_word(output + CELL, mcp_add_odd_bytes(offsets, word));
        input += 4;
        output += 2 * CELL;
    }
#endif
    if (count > 0) {
        mcp_store_word(output, 0);
        mcp_store_word(output + CELL, 0);
        MCP_ROLLED
        for (int32_t i = 0; i < count; i++) {
            output[i % 2 * CELL + i / 2] = (int16_t)(input[i] + (int16_t)offsets);
        }
        output += 2 * CELL;
    }
    return output;
}

/* All channels of up to three pixels. */
MCP_APART static void compute(const mcp_conv2d *op, const int16_t *cell, const int16_t *end, int32_t pixels,
                              int8_t *output)
{
    mcp_pairs state = mcp_pairs_of(op, pixels, output);
    state.input = cell;
    state.end = end;
    while (state.output != state.last) {
        if (pixels == 3) {
            run_three(&state);
        } else {
            run_two(&state);
        }
        if (state.output != state.last) {
            mcp_finish_pair(&state, output + op->out_c);
        }
    }
}

/* One column of the input, or zeros outside. */
MCP_APART static void store_column(const mcp_conv2d *op, const int8_t *input, mcp_span y, int32_t x,
                                   int16_t *cell)
{
    const int32_t depth = op->in_c, quads = (depth + 3) / 4;
    const uint32_t offsets = mcp_pair(op->input_offset, op->input_offset);
    if (x < 0 || x >= op->in_w) {
        MCP_ROLLED
        for (int32_t i = CELLS * quads; i > 0; i--) {
            mcp_store_word(cell, 0);
            cell += CELL;
        }
        return;
    }
    input += (y.start * op->in_w + x) * depth;
    cell += 2 * CELL * quads * y.first;
    MCP_ROLLED
    for (int32_t left = y.end - y.first; left > 0; left--) {
        cell = store_pixel(cell, input, depth, offsets);
        input += op->in_w * depth;
    }
}

static inline void mcp_run_conv2d_3x3_dsp(const mcp_conv2d *op, const int8_t *input, int8_t *output,
                                          void *scratch)
{
    const int32_t size = CELL * CELLS * ((op->in_c + 3) / 4);
    int8_t *const first = output;
    int16_t *const cells = scratch;
    MCP_ROLLED
    for (int32_t oy = 0; oy < op->out_h; oy++) {
        const mcp_span y = mcp_clip_dense(oy - op->pad_top, TAPS, op->in_h);
        int32_t x = -op->pad_left, base = 0, held = 0, left = op->out_w;
        if (y.end - y.first < TAPS) {
            mcp_clear_words(cells, size / 2);
        }
        MCP_ROLLED
        while (left > 0) {
            const int32_t pixels = left == 4 ? 2 : left < 3 ? left : 3;
            if (base + pixels + 2 > COLUMNS) {
                held = base == COLUMNS - 2 ? 2 : 0;
                base = 0;
            }
            MCP_ROLLED
            for (int32_t i = base + held; i < base + pixels + 2; i++) {
                MCP_ROLLED
                for (int32_t place = i; place >= 0; place -= COLUMNS - 2) {
                    store_column(op, input, y, x - base + i, cells + 2 * place);
                }
            }
            compute(op, cells + 2 * base, cells + 2 * base + size, pixels, output);
            output += pixels * op->out_c;
            x += pixels;
            base += pixels;
            left -= pixels;
            held = 2;
        }
    }
    mcp_clamp_all(first, output, op->clamp_min, op->clamp_max);
}

#endif
