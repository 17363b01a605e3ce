/* Quotient of two tensors, either broadcast; by zero it is the output's zero point. */
#include "mcp_arithmetic.h"
#include "mcp_elementwise.h"
#include "mcp_fixed_point.h"
#include "mcp_kernels.h"

/* dividend / divisor in the output's scale; divisor above 0. */
static int32_t quotient(const mcp_elementwise *op, int32_t dividend, int32_t divisor)
{
    const int32_t zeros = mcp_leading_zeros((uint32_t)divisor);
    const int32_t inverse = mcp_reciprocal((int32_t)(((uint32_t)divisor << zeros) - 0x80000000U));
    const uint32_t size = (uint32_t)(dividend < 0 ? ~dividend : dividend);
    const int32_t headroom = mcp_leading_zeros((size << 1) | 1U);
    const int32_t exact = mcp_high_multiply((int32_t)((uint32_t)dividend << headroom), inverse);
    const int32_t scaled = mcp_high_multiply(exact, op->multiplier);
    const int32_t right = headroom + 31 - zeros - op->shift;
    if (right > 31) {
        /* A shift that C does not define: what TensorFlow Lite Micro does on a PC, where it is the reference.
         */
        return (scaled >> (right & 31)) + (scaled >= 0 ? 1 : 0);
    }
    return mcp_round_shift(scaled, right);
}

static inline int8_t divide(const mcp_elementwise *op, int32_t a, int32_t b)
{
    const int32_t dividend = a + op->a.offset, divisor = b + op->b.offset;
    int32_t result = 0;
    if (divisor != 0) {
        result = divisor < 0 ? quotient(op, -dividend, -divisor) : quotient(op, dividend, divisor);
    }
    return mcp_clamp_sum(result, op->output_offset, op->clamp_min, op->clamp_max);
}

void mcp_div_s8(const mcp_elementwise *op, const int8_t *a, const int8_t *b, int8_t *output)
{
    mcp_for_each_pair(op, a, b, output, divide);
}
