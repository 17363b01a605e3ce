/* Sum of two tensors of the same size.  One of the operands, that with the larger scale, is just halved. */
#include "mcp_dsp.h"
#include "mcp_kernels.h"

#define HEADROOM 20 /* the operands are brought to a common scale with this many extra bits */

static inline int is_half(const mcp_operand *o)
{
    return o->shift == 0 && o->multiplier == 1 << 30;
}

/* half / 2 + other * multiplier * 2^shift, the shift below 0. */
static MCP_APART void add_to_half(const mcp_elementwise *op, const mcp_operand *a, const mcp_operand *b,
                                  const int8_t *half, const int8_t *other, int8_t *output)
{
    /* Halving is a multiplier of 2^31, of which 2 * multiplier - 2^32 = 0, with shift -1. */
    const int32_t shift = b->shift < 0 ? b->shift : -1;
    const int32_t multiplier = b->shift < 0 ? (int32_t)((uint32_t)b->multiplier << 1) : 0;
    const int32_t power = (int32_t)(0U - (1U << (32 + shift))); /* negative: 2^31 has no positive form */
    const int32_t a_offset = a->offset * (1 << (HEADROOM - 1)), b_offset = b->offset * (1 << HEADROOM);
    const mcp_scaling scaling = mcp_scaling_of(op->multiplier, op->shift, op->output_offset);
    MCP_UNROLLED_TWICE
    for (int32_t count = op->hw * op->channels; count > 0; count--) {
        const int32_t a_scaled = a_offset + *half++ * (1 << (HEADROOM - 1));
        const int32_t b_shifted = b_offset + *other++ * (1 << HEADROOM);
        const int32_t high = mcp_add_high_product(b_shifted, multiplier, b_shifted);
        const int32_t sum = mcp_subtract_high_product(high + (high >> 31), power, a_scaled);
        *output++ = mcp_rescale(sum, scaling);
    }
}

static inline int32_t rescale(const mcp_operand *o, int32_t value)
{
    return mcp_scale((value + o->offset) * (1 << HEADROOM), o->multiplier, o->shift);
}

/* Any multipliers and shifts. */
static MCP_APART void add_any(const mcp_elementwise *op, const int8_t *a, const int8_t *b, int8_t *output)
{
    MCP_ROLLED
    for (int32_t count = op->hw * op->channels; count > 0; count--) {
        const int32_t sum = rescale(&op->a, *a++) + rescale(&op->b, *b++);
        *output++ = mcp_requantize(sum, op->multiplier, op->shift, op->output_offset, -128, 127);
    }
}

void mcp_add_s8_dsp(const mcp_elementwise *op, const int8_t *a, const int8_t *b, int8_t *output)
{
    const int usual = op->shift < -1;
    if (usual && is_half(&op->a) && (op->b.shift < 0 || is_half(&op->b))) {
        add_to_half(op, &op->a, &op->b, a, b, output);
    } else if (usual && is_half(&op->b) && op->a.shift < 0) {
        add_to_half(op, &op->b, &op->a, b, a, output);
    } else {
        add_any(op, a, b, output);
    }
    mcp_clamp_all(output, output + op->hw * op->channels, op->clamp_min, op->clamp_max);
}
