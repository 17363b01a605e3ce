/* Filters over features, then over time: the state holds the last results of each, 16 bits each. */
#include "mcp_arithmetic.h"
#include "mcp_gates.h"
#include "mcp_kernels.h"

/* The newest result of a filter enters its row of the state, the oldest leaves. */
static void remember(const mcp_svdf *op, int32_t filter, const int8_t *input, int16_t *row)
{
    const int32_t sum = mcp_dot_s8(op->weight + filter * op->in_c, input, op->in_c, op->feature_bias[filter]);
    MCP_ROLLED
    for (int32_t i = 1; i < op->memory; i++) {
        row[i - 1] = row[i];
        MCP_KEEP_LOOP();
    }
    row[op->memory - 1] = (int16_t)mcp_clamp_s16(mcp_scale(sum, op->feature_multiplier, op->feature_shift));
}

void mcp_svdf_s8(const mcp_svdf *op, const int8_t *input, int16_t *state, int8_t *output)
{
    const int16_t *time = op->time;
    int32_t filter = 0;
    MCP_ROLLED
    for (int32_t unit = 0; unit < op->units; unit++) {
        uint32_t sum = (uint32_t)op->bias[unit];
        int32_t result;
        MCP_ROLLED
        for (int32_t r = 0; r < op->rank; r++, filter++) {
            remember(op, filter, input, state);
            for (int32_t i = 0; i < op->memory; i++) {
                sum += (uint32_t)(*state++ * *time++);
            }
        }
        result = mcp_scale((int32_t)sum, op->multiplier, op->shift);
        output[unit] = mcp_clamp_sum(result, op->output_offset, -128, 127);
    }
}
