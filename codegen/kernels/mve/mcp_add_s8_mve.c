/* Sum of two tensors of the same size, four elements at a time. */
#include "mcp_kernels.h"
#include "mcp_mve.h"

#define HEADROOM 20    /* the operands are brought to a common scale with this many extra bits */
#define HALF (1 << 30) /* a multiplier of 1/2, as the operand with the larger scale has it */

#if defined(MCP_MVE)
/* Whether scaling only shifts right by one: HEADROOM leaves zeros there. */
static inline int halved(const mcp_operand *operand)
{
    return operand->multiplier == HALF && operand->shift == 0;
}

/* mcp_scale for a shift below 0; see mcp_scale_all. */
#define SCALE_DOWN(value, multiplier, shift)                                                                 \
    "vqrdmulh.s32 " value ", " value ", %q[" multiplier "]\n\t"                                              \
    "vqdmlah.s32 " value ", " value ", %[one]\n\t"                                                           \
    "vrshl.s32 " value ", %[" shift "]\n\t"

/* b is halved, a as well or scaled by a shift below 0, as is the sum.  Halving a takes one bit more in front,
 * so that it is a shift of -1. */
static inline void add_down(const mcp_elementwise *op, const mcp_operand *a, const mcp_operand *b,
                            const int8_t *a_in, const int8_t *b_in, int8_t *output)
{
    const int32_t half = halved(a);
    const mcp_words low = mcp_spread(op->clamp_min), high = mcp_spread(op->clamp_max);
    const mcp_words a_multiplier = mcp_spread(a->multiplier), multiplier = mcp_spread(op->multiplier);
    __asm__ volatile(
        "dlstp.32 lr, %[count]\n"
        "1:\n\t"
        "vldrb.s32 q0, [%[a_in]], #4\n\t"
        "vadd.i32 q0, q0, %[a_offset]\n\t"
        "vshl.s32 q0, %[a_bits]\n\t" SCALE_DOWN("q0", "a_multiplier",
                                                "a_shift") "vldrb.s32 q1, [%[b_in]], #4\n\t"
                                                           "vadd.i32 q1, q1, %[b_offset]\n\t"
                                                           "vshl.i32 q1, q1, #19\n\t"
                                                           "vadd.i32 q0, q0, q1\n\t" SCALE_DOWN(
                                                               "q0", "multiplier",
                                                               "shift") "vadd.i32 q0, q0, %[zero]\n\t"
                                                                        "vmax.s32 q0, q0, %q[low]\n\t"
                                                                        "vmin.s32 q0, q0, %q[high]\n\t"
                                                                        "vstrb.32 q0, [%[output]], #4\n\t"
                                                                        "letp lr, 1b"
        : [a_in] "+&r"(a_in), [b_in] "+&r"(b_in), [output] "+&r"(output)
        : [a_offset] "r"(a->offset), [a_bits] "r"(HEADROOM + half), [a_shift] "r"(a->shift - half),
          [b_offset] "r"(b->offset), [shift] "r"(op->shift), [zero] "r"(op->output_offset), [one] "r"(1),
          [count] "r"(op->hw * op->channels), [a_multiplier] "w"(a_multiplier), [multiplier] "w"(multiplier),
          [low] "w"(low), [high] "w"(high)
        : "q0", "q1", "lr", "memory");
}
#endif

static inline mcp_words rescale(const mcp_operand *operand, const int8_t *values, int32_t count)
{
    const mcp_words moved = mcp_add(mcp_load_bytes(values, count), mcp_spread(operand->offset));
    return mcp_scale_all(mcp_shift_left(moved, HEADROOM), operand->multiplier, operand->shift);
}

void mcp_add_s8_mve(const mcp_elementwise *op, const int8_t *a, const int8_t *b, int8_t *output)
{
    const int32_t count = op->hw * op->channels;
    const mcp_words zero = mcp_spread(op->output_offset);
    const mcp_words low = mcp_spread(op->clamp_min), high = mcp_spread(op->clamp_max);
#if defined(MCP_MVE)
    if (op->shift < 0 && halved(&op->b) && (op->a.shift < 0 || halved(&op->a))) {
        add_down(op, &op->a, &op->b, a, b, output);
        return;
    }
    if (op->shift < 0 && halved(&op->a) && op->b.shift < 0) {
        add_down(op, &op->b, &op->a, b, a, output);
        return;
    }
#endif
    MCP_ROLLED
    for (int32_t i = 0; i < count; i += 4) {
        const mcp_words sum = mcp_add(rescale(&op->a, a + i, count - i), rescale(&op->b, b + i, count - i));
        const mcp_words scaled = mcp_scale_all(sum, op->multiplier, op->shift);
        mcp_store_bytes(output + i, mcp_output(scaled, zero, low, high), count - i);
    }
}
