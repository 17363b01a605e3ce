/* The exponential function in the fixed-point arithmetic of gemmlowp: Qm.n has m integer bits of 31. */
#ifndef MCP_EXP_H
#define MCP_EXP_H

#include "mcp_arithmetic.h"

/* exp(x) for x in Q5.26, x <= 0, as Q0.31. */
static int32_t mcp_exp_negative(int32_t x)
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

#endif
