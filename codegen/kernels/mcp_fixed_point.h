/* Functions in the fixed-point arithmetic of gemmlowp: Qm.n has m integer bits of 31. */
#ifndef MCP_FIXED_POINT_H
#define MCP_FIXED_POINT_H

#include "mcp_arithmetic.h"

static inline int32_t mcp_shift_saturating(int32_t value, int32_t bits)
{
    const int32_t limit = INT32_MAX >> bits;
    if (value > limit) {
        return INT32_MAX;
    }
    return value < -limit - 1 ? INT32_MIN : (int32_t)((uint32_t)value << bits);
}

/* 1 / (1 + x) for x in [0, 1), both Q0.31; Newton's iteration in Q2.29. */
static inline int32_t mcp_reciprocal(int32_t x)
{
    const int32_t half = (int32_t)(((uint32_t)x + (uint32_t)INT32_MAX + 1U) >> 1);
    int32_t y = 1515870810 + mcp_high_multiply(half, -1010580540); /* 48/17 - 32/17 * half */
    MCP_ROLLED
    for (int32_t i = 0; i < 3; i++) {
        const int32_t error = (1 << 29) - mcp_high_multiply(half, y);
        y += mcp_shift_saturating(mcp_high_multiply(y, error), 2);
    }
    return mcp_shift_saturating(y, 1);
}

static inline int32_t mcp_leading_zeros(uint32_t value)
{
    int32_t zeros = 0;
    while (value < 0x80000000U) {
        value <<= 1;
        zeros++;
    }
    return zeros;
}

/* log(x) for x >= 1 in Q12.19, as Q5.26.
 *
 * x = 2^n r with r near 1, log(r) by a Pade quotient around 2^(-1/4).  Of the two ways to choose n, from x
 * and from x / sqrt(2), the one with the larger exponent holds. */
static inline int32_t mcp_log_q12(int32_t x)
{
    const int32_t sqrt_half = 1518500250, center = 1805811301; /* 2^(-1/4) */
    const int32_t zeros_a = mcp_leading_zeros((uint32_t)x);
    const int32_t r_a =
        mcp_shift_saturating(mcp_high_multiply(mcp_shift_saturating(x, zeros_a - 1), sqrt_half), 1);
    const int32_t zeros_b = mcp_leading_zeros((uint32_t)mcp_high_multiply(x, sqrt_half)) - 1;
    const int32_t r_b = mcp_shift_saturating(x, zeros_b);
    const int32_t quarter = 1 << 23; /* Q6.25 */
    const int32_t n_a = (12 - zeros_a) * (1 << 25) + quarter;
    const int32_t n_b = (12 - zeros_b) * (1 << 25) - quarter;
    const int32_t r = r_a < r_b ? r_a : r_b, n = n_a > n_b ? n_a : n_b;
    const int32_t p = (int32_t)(((int64_t)r + center + 1) / 2);
    const int32_t q = (r - center) * 2;
    const int32_t square = mcp_high_multiply(q, q);
    const int32_t over = mcp_high_multiply(q, r) + mcp_high_multiply(mcp_high_multiply(q, square), 117049297);
    const int32_t under = mcp_high_multiply(p, 1057819769 + q + mcp_high_multiply(127690142, square)) +
                          mcp_high_multiply(638450708, q);
    const int32_t log_r = mcp_high_multiply(mcp_round_shift(over, 6), mcp_reciprocal(under));
    return mcp_shift_saturating(mcp_high_multiply(n, 1488522236) + log_r, 1); /* log(2) */
}

#endif
