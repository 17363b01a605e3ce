/* All output channels of up to three pixels whose inputs are gathered as pairs of 16-bit numbers.
 *
 * Two channels of three pixels are summed up together: a word of weights holds two of either channel,
 * alternating, and gives two pairs that multiply one pair of each pixel.  Twelve products take 13 cycles if
 * all of it stays in registers: 6 sums, 3 inputs, the weights and their other half, 2 addresses and the
 * distance of the pixels are 14.  No compiler manages that, hence the assembly. */
#ifndef MCP_ROWS_DSP_H
#define MCP_ROWS_DSP_H

#include "mcp_kernels.h"
#include "mcp_pairs.h"

enum { STEPS = 16, STEP_BYTES = 46 };

#if defined(MCP_DSP)
#define LOAD_INPUTS                                                                                          \
    "ldr.n r6, [r1, r2]\n"                                                                                   \
    "ldr.w r7, [r1, r2, lsl #1]\n"                                                                           \
    "ldr.w r5, [r1], #4\n"                                                                                   \
    "sxtb16 r4, r3\n"                                                                                        \
    "sxtb16 r3, r3, ror #8\n"

/* All pairs of channels, or up to a slow one.  In the loop: r0 weights, r1 input, r2 pitch, r3 and r4 weights
 * of both channels, r5 to r7 inputs, sums r8 to r10 of the one channel, r11, r12 and lr of the other.  The
 * first step starts the sums from the biases.  The frame pointer, whichever register it is, is put back. */
static inline void mcp_run_pairs(mcp_pairs *state)
{
    register mcp_pairs *r0 __asm__("r0") = state;
    __asm__ volatile("ldr r1, [r0, %[end]]\n"
                     "ldr r3, [r0, %[code]]\n"
                     "adr.w r2, 3f\n"
                     "subs r2, r2, r3\n"
                     "adds r2, r2, #1\n"
                     "push {r0, r1, r2, r7, r11}\n"
                     "mov r7, r0\n"
                     "ldr r0, [r0, %[weight]]\n"
                     "1:\n"
                     "ldr r1, [r7, %[input]]\n"
                     "ldr r2, [r7, %[pitch]]\n"
                     "ldr r11, [r0, #4]\n"
                     "ldr r3, [r0, #8]\n"
                     "ldr r8, [r0], #12\n" LOAD_INPUTS "smlad r9, r4, r6, r8\n"
                     "smlad r10, r4, r7, r8\n"
                     "smlad r8, r4, r5, r8\n"
                     "smlad r12, r3, r6, r11\n"
                     "smlad lr, r3, r7, r11\n"
                     "smlad r11, r3, r5, r11\n"
                     "ldr r4, [sp, #8]\n"
                     "bx r4\n"
                     ".balign 4\n"
                     "2:\n"
                     ".rept %c[steps]\n"
                     "ldr.w r3, [r0], #4\n" LOAD_INPUTS "smlad r8, r4, r5, r8\n"
                     "smlad r11, r3, r5, r11\n"
                     "smlad r9, r4, r6, r9\n"
                     "smlad r12, r3, r6, r12\n"
                     "smlad r10, r4, r7, r10\n"
                     "smlad lr, r3, r7, lr\n"
                     ".endr\n"
                     "3:\n"
                     "ldr r4, [sp, #4]\n"
                     "cmp r1, r4\n"
                     "bne 2b\n" MCP_FINISH_PAIR "pop {r0, r1, r2, r7, r11}\n"
                     : "+r"(r0)
                     : [steps] "i"(STEPS), MCP_PAIRS_FIELDS
                     : "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r12", "lr", "cc", "memory");
}
#else
/* The sums of the next pair of channels. */
static inline void mcp_run_pairs(mcp_pairs *state)
{
    const int8_t *w = state->weight;
    for (int32_t i = 0; i < 3; i++) {
        const int16_t *x = state->input + (int32_t)(state->pitch / 2) * i;
        w = state->weight;
        int32_t sum = (int32_t)mcp_load_word(w), next = (int32_t)mcp_load_word(w + 4);
        w += 8;
        for (int32_t left = (int32_t)(state->end - state->input); left > 0; left -= 2) {
            const uint32_t word = mcp_load_word(w), pair = mcp_load_word(x);
            sum = mcp_dot_pair(mcp_even_bytes(word), pair, sum);
            next = mcp_dot_pair(mcp_odd_bytes(word), pair, next);
            w += 4;
            x += 2;
        }
        state->sums[i] = sum;
        state->sums[3 + i] = next;
    }
    state->weight = w + MCP_SCALE_BYTES;
}
#endif

static inline void mcp_run_rows(const mcp_conv2d *op, int32_t pairs, const int16_t *input, int32_t pixels,
                                int8_t *output)
{
    mcp_pairs state = mcp_pairs_of(op, pixels, output);
    if (pixels == 0) {
        return;
    }
    state.input = input;
    state.end = input + 2 * pairs;
    state.pitch = 4 * (uint32_t)pairs;
    state.code = STEP_BYTES * (((uint32_t)pairs - 2) % STEPS + 1);
    while (state.output != state.last) {
        mcp_run_pairs(&state);
        if (state.output != state.last) {
            mcp_finish_pair(&state, output + op->out_c);
        }
    }
}

#endif
