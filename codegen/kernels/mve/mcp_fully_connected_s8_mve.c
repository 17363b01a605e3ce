/* Fully connected layer: four rows of weights at a time share the loads of the input. */
#include "mcp_kernels.h"
#include "mcp_mve.h"

void mcp_fully_connected_s8_mve(const mcp_fully_connected *op, const int8_t *input, int8_t *output,
                                void *scratch)
{
    const int32_t length = op->in_c;
    const int8_t *weight = op->weight;
    const mcp_words zero = mcp_spread(op->output_offset);
    const mcp_words low = mcp_spread(op->clamp_min), high = mcp_spread(op->clamp_max);
    (void)scratch;
    MCP_ROLLED
    for (int32_t c = 0; c < op->out_c; c += 4) {
        const int32_t left = op->out_c - c;
        const int8_t *rows[4];
        for (int32_t i = 0; i < 4; i++) {
            rows[i] = weight; /* the last one again where there are fewer than four */
            weight += i + 1 < left ? length : 0;
        }
        mcp_words sums = mcp_add(mcp_dot_four(input, rows, length, 0), mcp_load_words(op->bias + c, left));
        if (op->per_channel) {
            sums = mcp_scale_each(sums, mcp_load_words(op->multiplier + c, left),
                                  mcp_load_bytes(op->shift + c, left));
        } else {
            sums = mcp_scale_all(sums, op->multiplier[0], op->shift[0]);
        }
        mcp_store_bytes(output + c, mcp_output(sums, zero, low, high), left);
    }
}
