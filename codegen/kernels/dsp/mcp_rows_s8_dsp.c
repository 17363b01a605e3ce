/* All output channels of up to three pixels whose inputs are gathered as pairs of 16-bit numbers.
 *
 * Two channels of three pixels are summed up together: a word of weights holds two of either channel,
 * alternating, and gives two pairs that multiply one pair of each pixel.  Twelve products take 13 cycles if
 * all of it stays in registers: 6 sums, 3 inputs, the weights and their other half, 2 addresses and the
 * distance of the pixels are 14.  No compiler manages that, hence the assembly.  The odd last channel, and
 * the pixels of a group that is not full, come one by one. */
#include <stddef.h>

#include "mcp_dsp.h"
#include "mcp_kernels.h"

enum { PIXELS = 3, STEPS = 16, STEP_BYTES = 46 };

/* The next two channels: what their sums are made of and where they go. */
typedef struct {
    const int8_t *weight;
    const int16_t *input, *end; /* of the first pixel */
    uint32_t pitch;             /* bytes from pixel to pixel */
    uint32_t code;              /* bytes of the loop that make the first round */
    const int32_t *bias, *multiplier;
    const int8_t *shift;
    int8_t *output, *last; /* of the first pixel: these channels, where pairs of channels end */
    int32_t out_c;
    int32_t offset;
    int32_t sums[2 * PIXELS];
} mcp_rows;

#if defined(MCP_DSP)
/* r0 weights, r1 input, r2 pitch, r3 and r4 weights of both channels, r5 to r7 inputs, sums r8 to r10 of the
 * one channel, r11, r12 and lr of the other. */
/* All pairs of channels, or up to one that shifts by less than two bits to the right: its sums are left in
 * the state.  The frame pointer, whichever register it is, is put back. */
static void run_pairs(mcp_rows *state)
{
    register mcp_rows *r0 __asm__("r0") = state;
    __asm__ volatile(
        "ldr r1, [r0, %[end]]\n"
        "ldr r3, [r0, %[code]]\n"
        "adr.w r2, 3f\n"
        "subs r2, r2, r3\n"
        "adds r2, r2, #1\n"
        "push {r0, r1, r2, r7, r11}\n"
        "mov r7, r0\n"
        "1:\n"
        "ldr r0, [r7, %[weight]]\n"
        "ldr r1, [r7, %[input]]\n"
        "ldr r2, [r7, %[pitch]]\n"
        "ldr r3, [r7, %[bias]]\n"
        "ldr r4, [sp, #8]\n"
        "ldrd r8, r11, [r3], #8\n"
        "str r3, [r7, %[bias]]\n"
        "mov r9, r8\n"
        "mov r10, r8\n"
        "mov r12, r11\n"
        "mov lr, r11\n"
        "bx r4\n"
        ".balign 4\n"
        "2:\n"
        ".rept %c[steps]\n"
        "ldr.w r3, [r0], #4\n"
        "ldr.n r6, [r1, r2]\n"
        "ldr.w r7, [r1, r2, lsl #1]\n"
        "ldr.w r5, [r1], #4\n"
        "sxtb16 r4, r3\n"
        "sxtb16 r3, r3, ror #8\n"
        "smlad r8, r4, r5, r8\n"
        "smlad r11, r3, r5, r11\n"
        "smlad r9, r4, r6, r9\n"
        "smlad r12, r3, r6, r12\n"
        "smlad r10, r4, r7, r10\n"
        "smlad lr, r3, r7, lr\n"
        ".endr\n"
        "3:\n"
        "ldr r4, [sp, #4]\n"
        "cmp r1, r4\n"
        "bne 2b\n"
        "ldr r7, [sp]\n"
        "ldr r1, [r7, %[shift]]\n"
        "ldr r2, [r7, %[multiplier]]\n"
        "ldr r3, [r7, %[offset]]\n"
        "str r0, [r7, %[weight]]\n"
        "ldrh r4, [r1], #2\n"
        "str r1, [r7, %[shift]]\n"
        "rsb r4, r4, #0xfefefefe\n" /* right shifts less 2 */
        "orr r5, r4, r4, lsr #8\n"
        "tst r5, #0x80\n"
        "bne 4f\n"
        "ldrd r5, r6, [r2], #8\n"
        "mov r0, #0x40000000\n"
        "str r2, [r7, %[multiplier]]\n"
        "lsls r5, r5, #1\n"
        "lsr r1, r0, r4\n" /* 2^(32 - right shift): the second product shifts, rounds and adds the offset */
        ".irp sum, r8, r9, r10\n"
        "smmlar \\sum, \\sum, r5, \\sum\n"
        "add \\sum, \\sum, \\sum, asr #31\n"
        "smmlar \\sum, \\sum, r1, r3\n"
        "ssat \\sum, #8, \\sum\n"
        ".endr\n"
        "lsrs r4, r4, #8\n"
        "lsls r5, r6, #1\n"
        "lsr r1, r0, r4\n"
        ".irp sum, r11, r12, lr\n"
        "smmlar \\sum, \\sum, r5, \\sum\n"
        "add \\sum, \\sum, \\sum, asr #31\n"
        "smmlar \\sum, \\sum, r1, r3\n"
        "ssat \\sum, #8, \\sum\n"
        ".endr\n"
        "ldr r1, [r7, %[output]]\n"
        "ldr r2, [r7, %[out_c]]\n"
        "ldr r3, [r7, %[last]]\n"
        "bfi r8, r11, #8, #8\n"
        "bfi r9, r12, #8, #8\n"
        "bfi r10, lr, #8, #8\n"
        "strh.w r8, [r1]\n"
        "strh.w r9, [r1, r2]\n"
        "strh.w r10, [r1, r2, lsl #1]\n"
        "adds r1, #2\n"
        "str r1, [r7, %[output]]\n"
        "cmp r1, r3\n"
        "bne 1b\n"
        "b 5f\n"
        "4:\n"
        "add r1, r7, %[sums]\n"
        "stm r1, {r8, r9, r10, r11, r12, lr}\n"
        "5:\n"
        "pop {r0, r1, r2, r7, r11}\n"
        : "+r"(r0)
        : [steps] "i"(STEPS), [weight] "i"(offsetof(mcp_rows, weight)),
          [input] "i"(offsetof(mcp_rows, input)), [end] "i"(offsetof(mcp_rows, end)),
          [pitch] "i"(offsetof(mcp_rows, pitch)), [code] "i"(offsetof(mcp_rows, code)),
          [bias] "i"(offsetof(mcp_rows, bias)), [multiplier] "i"(offsetof(mcp_rows, multiplier)),
          [shift] "i"(offsetof(mcp_rows, shift)), [output] "i"(offsetof(mcp_rows, output)),
          [last] "i"(offsetof(mcp_rows, last)), [out_c] "i"(offsetof(mcp_rows, out_c)),
          [offset] "i"(offsetof(mcp_rows, offset)), [sums] "i"(offsetof(mcp_rows, sums))
        : "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r12", "lr", "cc", "memory");
}
#else
/* The sums of the next pair of channels. */
static void run_pairs(mcp_rows *state)
{
    const int8_t *w = state->weight;
    for (int32_t i = 0; i < PIXELS; i++) {
        const int16_t *x = state->input + (int32_t)(state->pitch / 2) * i;
        int32_t sum = state->bias[0], next = state->bias[1];
        w = state->weight;
        for (int32_t left = (int32_t)(state->end - state->input); left > 0; left -= 2) {
            const uint32_t word = mcp_load_word(w), pair = mcp_load_word(x);
            sum = mcp_dot_pair(mcp_even_bytes(word), pair, sum);
            next = mcp_dot_pair(mcp_odd_bytes(word), pair, next);
            w += 4;
            x += 2;
        }
        state->sums[i] = sum;
        state->sums[PIXELS + i] = next;
    }
    state->weight = w;
    state->bias += 2;
    state->shift += 2;
}
#endif

/* Whatever the shifts are. */
static void requantize_pair(mcp_rows *state)
{
    MCP_ROLLED
    for (int32_t i = 0; i < 2; i++) {
        MCP_ROLLED
        for (int32_t pixel = 0; pixel < PIXELS; pixel++) {
            state->output[pixel * state->out_c] = mcp_requantize_wide(
                state->sums[PIXELS * i + pixel], *state->multiplier, state->shift[i - 2], state->offset);
        }
        state->multiplier++;
        state->output++;
    }
}

/* One channel of a pixel. */
static int8_t single(const mcp_conv2d *op, int32_t channel, int32_t sum)
{
    return mcp_requantize_wide(sum, op->multiplier[channel], op->shift[channel], op->output_offset);
}

/* All channels of a pixel but an odd last one. */
static void pixel_pairs(const mcp_conv2d *op, int32_t pairs, const int16_t *input, int8_t *output)
{
    const int8_t *w = op->weight;
    MCP_ROLLED
    for (int32_t c = 0; c + 2 <= op->out_c; c += 2) {
        int32_t sum = op->bias[c], next = op->bias[c + 1], left = pairs;
        const int16_t *x = input;
        MCP_ROLLED
        do {
            const uint32_t word = mcp_load_word(w), pair = mcp_load_word(x);
            sum = mcp_dot_pair(mcp_even_bytes(word), pair, sum);
            next = mcp_dot_pair(mcp_odd_bytes(word), pair, next);
            w += 4;
            x += 2;
        } while (--left != 0);
        output[c] = single(op, c, sum);
        output[c + 1] = single(op, c + 1, next);
    }
}

void mcp_rows_s8_dsp(const mcp_conv2d *op, int32_t pairs, const int16_t *input, int32_t pixels,
                     int8_t *output)
{
    const int32_t even_c = op->out_c & ~1;
    if (pixels == PIXELS) {
        mcp_rows state = {
            .weight = op->weight,
            .input = input,
            .end = input + 2 * pairs,
            .pitch = 4 * (uint32_t)pairs,
            .code = STEP_BYTES * (((uint32_t)pairs - 1) % STEPS + 1),
            .bias = op->bias,
            .multiplier = op->multiplier,
            .shift = op->shift,
            .output = output,
            .last = output + even_c,
            .out_c = op->out_c,
            .offset = op->output_offset,
        };
        while (state.output != state.last) {
            run_pairs(&state);
            if (state.output != state.last) {
                requantize_pair(&state);
            }
        }
    }
    MCP_ROLLED
    for (int32_t i = 0; i < pixels; i++) {
        if (pixels < PIXELS) {
            pixel_pairs(op, pairs, input, output);
        }
        if (even_c < op->out_c) {
            const int8_t *weight = op->weight + 2 * even_c * pairs;
            output[even_c] = single(op, even_c, mcp_dot_row(weight, input, pairs / 2, op->bias[even_c]));
        }
        input += 2 * pairs;
        output += op->out_c;
    }
}
