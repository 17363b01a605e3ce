/* Logarithm of the softmax over the last axis; output scale 1/16, zero point 127. */
#include "mcp_arithmetic.h"
#include "mcp_exp.h"
#include "mcp_fixed_point.h"
#include "mcp_kernels.h"

/* input - largest, as Q5.26 */
static inline int32_t scaled(const mcp_log_softmax *op, int32_t difference)
{
    return mcp_high_multiply((int32_t)((uint32_t)difference << op->shift), op->multiplier);
}

static void log_softmax_row(const mcp_log_softmax *op, const int8_t *input, int8_t *output)
{
    int32_t top = -128, sum = 0; /* sum in Q12.19 */
    MCP_ROLLED
    for (int32_t c = 0; c < op->channels; c++) {
        top = input[c] > top ? input[c] : top;
    }
    MCP_ROLLED
    for (int32_t c = 0; c < op->channels; c++) {
        if (input[c] - top >= op->diff_min) {
            sum += mcp_round_shift(mcp_exp_negative(scaled(op, input[c] - top)), 12);
        }
    }
    const int32_t log_sum = mcp_log_q12(sum);
    int32_t least =
        mcp_scale_any((int32_t)((uint32_t)log_sum + 0x80000000U), op->reverse_multiplier, op->reverse_shift);
    least = least < op->diff_min - 1 ? op->diff_min - 1 : least;
    MCP_ROLLED
    for (int32_t c = 0; c < op->channels; c++) {
        int32_t value = -128;
        if (input[c] - top > least) {
            value = mcp_round_shift(scaled(op, input[c] - top) - log_sum, 22) + 127;
        }
        output[c] = mcp_clamp(value, -128, 127);
    }
}

void mcp_log_softmax_s8(const mcp_log_softmax *op, const int8_t *input, int8_t *output)
{
    MCP_ROLLED
    for (int32_t row = 0; row < op->rows; row++) {
        log_softmax_row(op, input, output);
        input += op->channels;
        output += op->channels;
    }
}
