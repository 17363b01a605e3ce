/* Two output channels of three pixels at a time: what the dense convolutions with DSP instructions share.
 *
 * The weights are a stream with one record per pair of channels: 2 biases, the weights of both channels,
 * 2 multipliers and 2 powers of two (mcp_scaling).  A negative power is a shift less MCP_SLOW: this pair has
 * an unusual shift or no second channel, and its multipliers are not doubled.
 *
 * Where channels share a multiplier, two bytes and two that are 0 take the place of multipliers and powers:
 * the shifts plus 32.  The last byte of a slow pair is MCP_SLOW.  The including file says which: it defines
 * MCP_PAIRS_SHARED as 0 or 1. */
#ifndef MCP_PAIRS_H
#define MCP_PAIRS_H

#include <stddef.h>

#include "mcp_channels.h"
#include "mcp_dsp.h"

enum { MCP_SLOW = -128, MCP_SCALE_BYTES = MCP_PAIRS_SHARED ? 4 : 16 };

/* The next two channels: what their sums are made of and where they go. */
typedef struct {
    const int8_t *weight;
    const int16_t *input, *end; /* of the first pixel */
    uint32_t pitch;             /* bytes from pixel to pixel */
    uint32_t code;              /* bytes of the loop that make the first round */
    int32_t offset;
    int8_t *output, *last; /* of the first pixel: these channels, where pairs of channels end */
    int32_t second,
        third; /* bytes from there to the other pixels; twice the same if there are less of them */
    int32_t sums[6];
    int32_t multiplier; /* doubled, if the channels share it */
} mcp_pairs;

#if defined(MCP_DSP)
#define MCP_PAIRS_FIELDS                                                                                     \
    [weight] "i"(offsetof(mcp_pairs, weight)), [input] "i"(offsetof(mcp_pairs, input)),                      \
        [end] "i"(offsetof(mcp_pairs, end)), [pitch] "i"(offsetof(mcp_pairs, pitch)),                        \
        [code] "i"(offsetof(mcp_pairs, code)), [offset] "i"(offsetof(mcp_pairs, offset)),                    \
        [output] "i"(offsetof(mcp_pairs, output)), [last] "i"(offsetof(mcp_pairs, last)),                    \
        [second] "i"(offsetof(mcp_pairs, second)), [third] "i"(offsetof(mcp_pairs, third)),                  \
        [sums] "i"(offsetof(mcp_pairs, sums)), [multiplier] "i"(offsetof(mcp_pairs, multiplier))

/* The scales of a pair at r0, the state in r7: multipliers, powers, output and offset to r3 to r6, r1 and r2.
 * On to label 4 if the pair is slow.  lsl takes the lowest byte of a register. */
#if MCP_PAIRS_SHARED
#define MCP_PAIR_SCALES                                                                                      \
    "ldr r6, [r0], #4\n"                                                                                     \
    "ldr r3, [r7, %[multiplier]]\n"                                                                          \
    "ldr r1, [r7, %[output]]\n"                                                                              \
    "ldr r2, [r7, %[offset]]\n"                                                                              \
    "cmp r6, #0\n"                                                                                           \
    "blt 4f\n"                                                                                               \
    "movs r4, #1\n"                                                                                          \
    "lsl.w r5, r4, r6\n"                                                                                     \
    "lsrs r6, r6, #8\n"                                                                                      \
    "lsl.w r6, r4, r6\n"                                                                                     \
    "mov r4, r3\n"
#else
#define MCP_PAIR_SCALES                                                                                      \
    "ldr r3, [r0, #0]\n"                                                                                     \
    "ldr r4, [r0, #4]\n"                                                                                     \
    "ldr r5, [r0, #8]\n"                                                                                     \
    "ldr r6, [r0, #12]\n"                                                                                    \
    "ldr r1, [r7, %[output]]\n"                                                                              \
    "ldr r2, [r7, %[offset]]\n"                                                                              \
    "adds r0, #16\n"                                                                                         \
    "cmp r5, #0\n"                                                                                           \
    "blt 4f\n"
#endif

/* Stores both channels, sums r8 to r10 and r11, r12, lr, scales at r0, the state on the stack and then in
 * r7.  Goes on at label 1 up to the last pair, or up to a slow one, whose sums are left in the state. */
#define MCP_FINISH_PAIR                                                                                      \
    "ldr r7, [sp]\n" MCP_PAIR_SCALES ".irp sum, r8, r9, r10\n"                                               \
    "smmlar \\sum, \\sum, r3, \\sum\n"                                                                       \
    "add \\sum, \\sum, \\sum, asr #31\n"                                                                     \
    "smmlar \\sum, \\sum, r5, r2\n"                                                                          \
    "ssat \\sum, #8, \\sum\n"                                                                                \
    ".endr\n"                                                                                                \
    ".irp sum, r11, r12, lr\n"                                                                               \
    "smmlar \\sum, \\sum, r4, \\sum\n"                                                                       \
    "add \\sum, \\sum, \\sum, asr #31\n"                                                                     \
    "smmlar \\sum, \\sum, r6, r2\n"                                                                          \
    "ssat \\sum, #8, \\sum\n"                                                                                \
    ".endr\n"                                                                                                \
    "ldr r2, [r7, %[second]]\n"                                                                              \
    "ldr r3, [r7, %[third]]\n"                                                                               \
    "ldr r4, [r7, %[last]]\n"                                                                                \
    "bfi r10, lr, #8, #8\n"                                                                                  \
    "bfi r9, r12, #8, #8\n"                                                                                  \
    "bfi r8, r11, #8, #8\n"                                                                                  \
    "strh.w r10, [r1, r3]\n"                                                                                 \
    "strh.w r9, [r1, r2]\n"                                                                                  \
    "strh.w r8, [r1], #2\n"                                                                                  \
    "cmp r1, r4\n"                                                                                           \
    "str r1, [r7, %[output]]\n"                                                                              \
    "bne 1b\n"                                                                                               \
    "b 5f\n"                                                                                                 \
    "4:\n"                                                                                                   \
    "add r1, r7, %[sums]\n"                                                                                  \
    "stm r1, {r8, r9, r10, r11, r12, lr}\n"                                                                  \
    "5:\n"                                                                                                   \
    "str r0, [r7, %[weight]]\n"
#endif

/* The state for up to three pixels side by side in the output. */
static inline mcp_pairs mcp_pairs_of(const mcp_conv2d *op, int32_t pixels, int8_t *output)
{
    const int32_t second = pixels > 1 ? op->out_c : 0;
    mcp_pairs state;
    state.weight = op->weight;
    state.offset = op->output_offset;
    state.output = output;
    state.last = output + ((op->out_c + 1) & ~1);
    state.second = second;
    state.third = pixels > 2 ? 2 * second : second;
    state.multiplier = MCP_PAIRS_SHARED ? (int32_t)((uint32_t)*op->multiplier << 1) : 0;
    return state;
}

/* An output of channel i of the pair that the weights stand behind. */
static inline int8_t mcp_pair_output(const mcp_pairs *state, int32_t i, int32_t sum)
{
    const int8_t *const scales = state->weight - MCP_SCALE_BYTES;
#if MCP_PAIRS_SHARED
    const int32_t multiplier = (int32_t)((uint32_t)state->multiplier >> 1);
    return mcp_requantize_wide(sum, multiplier, scales[i] - 32, state->offset);
#else
    const int32_t multiplier = (int32_t)mcp_load_word(scales + 4 * i);
    const int32_t power = (int32_t)mcp_load_word(scales + 8 + 4 * i);
    const mcp_scaling usual = {multiplier, power, state->offset};
    return power < 0 ? mcp_requantize_wide(sum, multiplier, power - MCP_SLOW, state->offset)
                     : mcp_rescale(sum, usual);
#endif
}

/* Any pair whose sums are in the state; end is where the first pixel ends. */
static inline void mcp_finish_pair(mcp_pairs *state, const int8_t *end)
{
    const int32_t places[3] = {0, state->second, state->third};
    MCP_ROLLED
    for (int32_t i = 0; i < 2; i++) {
        for (int32_t pixel = 2; pixel >= 0 && state->output < end; pixel--) {
            state->output[places[pixel]] = mcp_pair_output(state, i, state->sums[3 * i + pixel]);
        }
        state->output++;
    }
}

#endif
