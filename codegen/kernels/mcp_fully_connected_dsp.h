/* Fully connected layer, four rows of weights at a time.  A word of inputs gives two pairs of 16-bit numbers,
 * those of its even and of its odd bytes, and so does a word of weights: it holds two of either row,
 * alternating.  In order: rows 0 and 1 for the even and for the odd inputs, then rows 2 and 3.  Loads stand
 * together, because only neighbours overlap in time.  The rows that are left over, up to three, come one by
 * one.  The bias holds the input offset.
 *
 * The including file says whether channels share a multiplier: it defines MCP_FOURS_SHARED as 0 or 1. */
#ifndef MCP_FULLY_CONNECTED_DSP_H
#define MCP_FULLY_CONNECTED_DSP_H

#include <stddef.h>

#include "mcp_channels.h"
#include "mcp_dsp.h"
#include "mcp_kernels.h"

enum { ROWS = 4, STEPS = 8, STEP_BYTES = 86 };

/* The next four rows: what their sums are made of and where they go. */
typedef struct {
    const int8_t *weight, *input, *end; /* of the input */
    uint32_t code;                      /* bytes of the loop that make the first round */
    const int32_t *bias;                /* words of bias and shift, if rows share a multiplier */
    const int32_t *multiplier;
    const int8_t *shift;
    int32_t step; /* from these multipliers and shifts to the next ones: 4, or 0 if they are the same */
    int8_t *output, *last;
    int32_t offset;
    int32_t sums[ROWS];
} mcp_fours;

static inline int32_t mcp_row_bias(int32_t word)
{
    return MCP_FOURS_SHARED ? mcp_word_bias(word) : word;
}

#if defined(MCP_DSP)
/* Biases are what was loaded as sums, r9 to r12.  Scales, the state in r7: sums times multipliers, and r6 a
 * byte for every row, its right shift less 2; on to label 4 if that is negative.
 *
 * The words of rows that share a multiplier end with MCP_SHIFT_BITS = 6 bits of shift.  With the two bits
 * above them set, a shift that is not below -1 has bit 5 set after the subtraction. */
#if MCP_FOURS_SHARED
#define MCP_FOURS_BIASES                                                                                     \
    ".irp sum, r9, r10, r11, r12\n"                                                                          \
    "asr \\sum, \\sum, #6\n"                                                                                 \
    ".endr\n"
#define MCP_FOURS_SCALES                                                                                     \
    "ldr r2, [r7, %[bias]]\n"                                                                                \
    "ldr r1, [r7, %[multiplier]]\n"                                                                          \
    "ldmdb r2, {r2, r3, r4, r5}\n"                                                                           \
    "ldr r1, [r1]\n"                                                                                         \
    "bfi r2, r3, #8, #8\n"                                                                                   \
    "bfi r4, r5, #8, #8\n"                                                                                   \
    "pkhbt r6, r2, r4, lsl #16\n"                                                                            \
    "orr r6, r6, #0xc0c0c0c0\n"                                                                              \
    "rsb r6, r6, #0xfefefefe\n"                                                                              \
    "tst r6, #0x20202020\n"                                                                                  \
    "bne 4f\n"                                                                                               \
    "lsls r1, r1, #1\n"                                                                                      \
    ".irp sum, r9, r10, r11, r12\n"                                                                          \
    "smmlar \\sum, \\sum, r1, \\sum\n"                                                                       \
    ".endr\n"
#else
#define MCP_FOURS_BIASES
#define MCP_FOURS_SCALES                                                                                     \
    "ldr r1, [r7, %[multiplier]]\n"                                                                          \
    "ldr r2, [r7, %[shift]]\n"                                                                               \
    "ldr r3, [r7, %[step]]\n"                                                                                \
    "ldr r6, [r2]\n"                                                                                         \
    "rsb r6, r6, #0xfefefefe\n"                                                                              \
    "tst r6, #0x80808080\n"                                                                                  \
    "bne 4f\n"                                                                                               \
    "add r2, r2, r3\n"                                                                                       \
    "add r4, r1, r3, lsl #2\n"                                                                               \
    "str r2, [r7, %[shift]]\n"                                                                               \
    "str r4, [r7, %[multiplier]]\n"                                                                          \
    "ldm r1, {r2, r3, r4, r5}\n"                                                                             \
    ".irp multiplier, r2, r3, r4, r5\n"                                                                      \
    "lsls \\multiplier, \\multiplier, #1\n"                                                                  \
    ".endr\n"                                                                                                \
    "smmlar r9, r9, r2, r9\n"                                                                                \
    "smmlar r10, r10, r3, r10\n"                                                                             \
    "smmlar r11, r11, r4, r11\n"                                                                             \
    "smmlar r12, r12, r5, r12\n"
#endif

/* All fours of rows, or up to one that shifts by less than two bits to the right: its sums are left in the
 * state.  In the loop: r0 weights, r1 input, r2 to r5 weights, r6 and r7 pairs of inputs, r8 of weights, r9
 * to r12 sums, lr end.  r7 or r11 may be the frame pointer: both are put back. */
static inline void mcp_run_fours(mcp_fours *state)
{
    register mcp_fours *r0 __asm__("r0") = state;
    __asm__ volatile(
        "ldr r1, [r0, %[code]]\n"
        "adr.w r2, 3f\n"
        "subs r2, r2, r1\n"
        "adds r2, r2, #1\n"
        "push {r0, r2, r7, r11}\n"
        "mov r7, r0\n"
        "ldr r0, [r7, %[weight]]\n"
        "1:\n"
        "ldr r2, [r7, %[bias]]\n"
        "ldr r1, [r7, %[input]]\n"
        "ldr lr, [r7, %[end]]\n"
        "ldr r3, [sp, #4]\n"
        "ldm r2!, {r9, r10, r11, r12}\n"
        "str r2, [r7, %[bias]]\n" MCP_FOURS_BIASES "bx r3\n"
        ".balign 4\n"
        "2:\n"
        ".rept %c[steps]\n"
        "ldr.w r6, [r1], #4\n"
        "ldr.n r3, [r0, #4]\n"
        "ldr.n r4, [r0, #8]\n"
        "ldr.n r5, [r0, #12]\n"
        "ldr.w r2, [r0], #16\n"
        "sxtb16 r7, r6, ror #8\n"
        "sxtb16 r6, r6\n"
        "sxtb16 r8, r2\n"
        "sxtb16 r2, r2, ror #8\n"
        "smlad r9, r8, r6, r9\n"
        "smlad r10, r2, r6, r10\n"
        "sxtb16 r8, r3\n"
        "sxtb16 r3, r3, ror #8\n"
        "smlad r9, r8, r7, r9\n"
        "smlad r10, r3, r7, r10\n"
        "sxtb16 r8, r4\n"
        "sxtb16 r4, r4, ror #8\n"
        "smlad r11, r8, r6, r11\n"
        "smlad r12, r4, r6, r12\n"
        "sxtb16 r8, r5\n"
        "sxtb16 r5, r5, ror #8\n"
        "smlad r11, r8, r7, r11\n"
        "smlad r12, r5, r7, r12\n"
        ".endr\n"
        "3:\n"
        "cmp r1, lr\n"
        "bne 2b\n"
        "ldr r7, [sp]\n" MCP_FOURS_SCALES "ldr r8, [r7, %[offset]]\n"
        "mov lr, #0x40000000\n"
        ".irp sum, r9, r10, r11, r12\n"
        "lsr r1, lr, r6\n" /* 2^(32 - right shift): this product shifts, rounds and adds the offset */
        "lsrs r6, r6, #8\n"
        "add \\sum, \\sum, \\sum, asr #31\n"
        "smmlar \\sum, \\sum, r1, r8\n"
        "ssat \\sum, #8, \\sum\n"
        ".endr\n"
        "ldr r1, [r7, %[output]]\n"
        "ldr r2, [r7, %[last]]\n"
        "strb r9, [r1]\n"
        "strb r10, [r1, #1]\n"
        "strb r11, [r1, #2]\n"
        "strb r12, [r1, #3]\n"
        "adds r1, #4\n"
        "cmp r1, r2\n"
        "str r1, [r7, %[output]]\n"
        "bne 1b\n"
        "b 5f\n"
        "4:\n"
        "add r1, r7, %[sums]\n"
        "stm r1, {r9, r10, r11, r12}\n"
        "5:\n"
        "str r0, [r7, %[weight]]\n"
        "pop {r0, r1, r7, r11}\n"
        : "+r"(r0)
        : [steps] "i"(STEPS), [weight] "i"(offsetof(mcp_fours, weight)),
          [input] "i"(offsetof(mcp_fours, input)), [end] "i"(offsetof(mcp_fours, end)),
          [code] "i"(offsetof(mcp_fours, code)), [bias] "i"(offsetof(mcp_fours, bias)),
          [multiplier] "i"(offsetof(mcp_fours, multiplier)), [shift] "i"(offsetof(mcp_fours, shift)),
          [step] "i"(offsetof(mcp_fours, step)), [output] "i"(offsetof(mcp_fours, output)),
          [last] "i"(offsetof(mcp_fours, last)), [offset] "i"(offsetof(mcp_fours, offset)),
          [sums] "i"(offsetof(mcp_fours, sums))
        : "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r12", "lr", "cc", "memory");
}
#else
/* The sums of the next four rows. */
static inline void mcp_run_fours(mcp_fours *state)
{
    int32_t sums[ROWS];
    for (int32_t i = 0; i < ROWS; i++) {
        sums[i] = mcp_row_bias(state->bias[i]);
    }
    for (const int8_t *x = state->input; x < state->end; x += 4) {
        const uint32_t inputs = mcp_load_word(x);
        const uint32_t pairs[2] = {mcp_even_bytes(inputs), mcp_odd_bytes(inputs)};
        for (int32_t i = 0; i < ROWS; i++) {
            const uint32_t word = mcp_load_word(state->weight);
            sums[i / 2 * 2] = mcp_dot_pair(mcp_even_bytes(word), pairs[i % 2], sums[i / 2 * 2]);
            sums[i / 2 * 2 + 1] = mcp_dot_pair(mcp_odd_bytes(word), pairs[i % 2], sums[i / 2 * 2 + 1]);
            state->weight += 4;
        }
    }
    for (int32_t i = 0; i < ROWS; i++) {
        state->sums[i] = sums[i];
    }
    state->bias += ROWS;
}
#endif

/* The output of any row, whatever its shift is. */
static MCP_APART int8_t mcp_row_output(const mcp_fully_connected *op, int32_t row, int32_t sum)
{
    const int32_t channel = !MCP_FOURS_SHARED && op->per_channel ? row : 0;
    const int32_t shift = MCP_FOURS_SHARED ? mcp_word_shift(op->bias[row]) : op->shift[channel];
    return mcp_requantize_wide(sum, op->multiplier[channel], shift, op->output_offset);
}

/* One row of 4 * words weights in their own order. */
static inline int32_t mcp_dot_words(const int8_t *weight, const int8_t *input, int32_t words, int32_t sum)
{
    MCP_ROLLED
    do {
        const uint32_t w = mcp_load_word(weight), x = mcp_load_word(input);
        sum = mcp_dot_pair(mcp_even_bytes(w), mcp_even_bytes(x), sum);
        sum = mcp_dot_pair(mcp_odd_bytes(w), mcp_odd_bytes(x), sum);
        weight += 4;
        input += 4;
    } while (--words != 0);
    return sum;
}

/* Copies inputs, filled up to whole words. */
static inline const int8_t *mcp_whole_words(const int8_t *input, int32_t count, int8_t *filled)
{
    const int32_t words = (count + 3) / 4;
    mcp_store_word(filled + 4 * words - 4, 0);
    MCP_ROLLED
    for (int32_t i = 0; i < count; i++) {
        filled[i] = input[i];
        MCP_KEEP_LOOP();
    }
    return filled;
}

static inline void mcp_run_fully_connected_dsp(const mcp_fully_connected *op, const int8_t *input,
                                               int8_t *output, void *scratch)
{
    const int32_t words = (op->in_c + 3) / 4, fours = op->out_c & ~3;
    int32_t multipliers[ROWS];
    int8_t shifts[ROWS];
    mcp_fours state = {
        .weight = op->weight,
        .code = STEP_BYTES * (((uint32_t)words - 1) % STEPS + 1),
        .bias = op->bias,
        .multiplier = op->multiplier,
        .shift = op->shift,
        .step = ROWS,
        .output = output,
        .last = output + fours,
        .offset = op->output_offset,
    };
    if (op->in_c % 4 != 0) {
        input = mcp_whole_words(input, op->in_c, scratch);
    }
    state.input = input;
    state.end = input + 4 * words;
    if (!MCP_FOURS_SHARED && !op->per_channel) {
        MCP_ROLLED
        for (int32_t i = 0; i < ROWS; i++) {
            multipliers[i] = op->multiplier[0];
            shifts[i] = op->shift[0];
        }
        state.multiplier = multipliers;
        state.shift = shifts;
        state.step = 0;
    }
    while (state.output != state.last) {
        mcp_run_fours(&state);
        if (state.output != state.last) {
            const int32_t row = (int32_t)(state.output - output);
            MCP_ROLLED
            for (int32_t i = 0; i < ROWS; i++) {
                *state.output++ = mcp_row_output(op, row + i, state.sums[i]);
            }
            if (!MCP_FOURS_SHARED) {
                state.multiplier += state.step;
                state.shift += state.step;
            }
        }
    }
    MCP_ROLLED
    for (int32_t c = fours; c < op->out_c; c++) {
        const int32_t bias = mcp_row_bias(op->bias[c]);
        output[c] = mcp_row_output(op, c, mcp_dot_words(op->weight + 4 * words * c, input, words, bias));
    }
    mcp_clamp_all(output, output + op->out_c, op->clamp_min, op->clamp_max);
}

#endif
