/* Softmax over the last axis, in the fixed-point arithmetic of gemmlowp: Qm.n has m integer bits of 31. */
#include "mcp_arithmetic.h"
#include "mcp_kernels.h"

/* exp(x) for x in Q5.26, x <= 0, as Q0.31. */
static int32_t exp_negative(int32_t x)
{
    /* exp(-2^k) in Q0.31 for k = -2..4 */
    static const int32_t factors[7] = {1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242};
    const int32_t quarter = 1 << 24;
    const int32_t rest = (x & (quarter - 1)) - quarter; /* in [-1/4, 0) */
    const int32_t t = rest * 32 + (1 << 28);            /* Q0.31, distance from -1/8 */
    const int32_t t2 = mcp_high_multiply(t, t);
    const int32_t t3 = mcp_high_multiply(t2, t);
    const int32_t t4 = mcp_high_multiply(t2, t2);
    const int32_t tail = mcp_high_multiply(mcp_round_shift(t4, 2) + t3, 715827883) + t2; /* 1/3 */
    const int32_t base = 1895147668;                                                     /* exp(-1/8) */
    int32_t result = base + mcp_high_multiply(base, t + mcp_round_shift(tail, 1));
    const uint32_t whole = (uint32_t)(rest - x) >> 24; /* in quarters */
    if (x == 0) {
        return INT32_MAX;
    }
    MCP_ROLLED
    for (uint32_t bit = 0; bit < 7; bit++) {
        if ((whole >> bit) & 1U) {
            result = mcp_high_multiply(result, factors[bit]);
        }
    }
    return result;
}

static inline int32_t shift_saturating(int32_t value, int32_t bits)
{
    const int32_t limit = INT32_MAX >> bits;
    if (value > limit) {
        return INT32_MAX;
    }
    return value < -limit - 1 ? INT32_MIN : (int32_t)((uint32_t)value << bits);
}

/* 1 / (1 + x) for x in [0, 1), both Q0.31; Newton's iteration in Q2.29. */
static int32_t reciprocal(int32_t x)
{
    const int32_t half = (int32_t)(((uint32_t)x + (uint32_t)INT32_MAX + 1U) >> 1);
    int32_t y = 1515870810 + mcp_high_multiply(half, -1010580540); /* 48/17 - 32/17 * half */
    MCP_ROLLED
    for (int32_t i = 0; i < 3; i++) {
        const int32_t error = (1 << 29) - mcp_high_multiply(half, y);
        y += shift_saturating(mcp_high_multiply(y, error), 2);
    }
    return shift_saturating(y, 1);
}

static inline int32_t leading_zeros(uint32_t value)
{
    int32_t zeros = 0;
    while (value < 0x80000000U) {
        value <<= 1;
        zeros++;
    }
    return zeros;
}

static inline int32_t exp_scaled(const mcp_softmax *op, int32_t difference)
{
    const int32_t shifted = (int32_t)((uint32_t)difference << op->shift);
    return exp_negative(mcp_high_multiply(shifted, op->multiplier));
}

static void softmax_row(const mcp_softmax *op, const int8_t *input, int8_t *output)
{
    int32_t top = -128, sum = 0; /* sum in Q12.19 */
    MCP_ROLLED
    for (int32_t c = 0; c < op->channels; c++) {
        top = input[c] > top ? input[c] : top;
    }
    MCP_ROLLED
    for (int32_t c = 0; c < op->channels; c++) {
        if (input[c] - top >= op->diff_min) {
            sum += mcp_round_shift(exp_scaled(op, input[c] - top), 12);
        }
    }
    const int32_t zeros = leading_zeros((uint32_t)sum);
    const int32_t scale = reciprocal((int32_t)(((uint32_t)sum << zeros) - 0x80000000U));
    MCP_ROLLED
    for (int32_t c = 0; c < op->channels; c++) {
        int32_t value = 0; /* with fewer than 4 leading zeros it is below 2^-9, and rounds to 0 */
        if (zeros > 3 && input[c] - top >= op->diff_min) {
            value = mcp_round_shift(mcp_high_multiply(scale, exp_scaled(op, input[c] - top)), 35 - zeros);
        }
        output[c] = mcp_clamp(value - 128, -128, 127);
    }
}

void mcp_softmax_s8(const mcp_softmax *op, const int8_t *input, int8_t *output)
{
    MCP_ROLLED
    for (int32_t row = 0; row < op->rows; row++) {
        softmax_row(op, input, output);
        input += op->channels;
        output += op->channels;
    }
}
