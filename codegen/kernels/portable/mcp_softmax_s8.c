/* Softmax over the last axis, in the fixed-point arithmetic of gemmlowp: Qm.n has m integer bits of 31. */
#include "mcp_arithmetic.h"
#include "mcp_exp.h"
#include "mcp_fixed_point.h"
#include "mcp_kernels.h"

static inline int32_t exp_scaled(const mcp_softmax *op, int32_t difference)
{
    const int32_t shifted = (int32_t)((uint32_t)difference << op->shift);
    return mcp_exp_negative(mcp_high_multiply(shifted, op->multiplier));
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
    const int32_t zeros = mcp_leading_zeros((uint32_t)sum);
    const int32_t scale = mcp_reciprocal((int32_t)(((uint32_t)sum << zeros) - 0x80000000U));
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
