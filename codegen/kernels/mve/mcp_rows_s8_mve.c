/* All output channels of up to four pixels: pixels[i] are the length inputs of pixel i, whose outputs lie one
 * pixel after the other.  A row of weights is read once for all four; where there are fewer, the pointers
 * left over repeat that of the last one, and its outputs are written again. */
#include "mcp_kernels.h"
#include "mcp_mve.h"

void mcp_rows_s8_mve(const mcp_conv2d *op, int32_t length, const int8_t *const *pixels, int32_t count,
                     int8_t *output)
{
    const int32_t channels = op->out_c;
    const int8_t *weight = op->weight;
    const int32_t second = count > 1 ? channels : 0;
    const int32_t third = count > 2 ? second + channels : second;
    const int32_t places[4] = {0, second, third, count > 3 ? third + channels : third};
    const mcp_words offsets = mcp_load_words(places, 4), zero = mcp_spread(op->output_offset);
    const mcp_words low = mcp_spread(op->clamp_min), high = mcp_spread(op->clamp_max);
    MCP_ROLLED
    for (int32_t c = 0; c < channels; c++) {
        const mcp_words sums = mcp_dot_four(weight, pixels, length, op->bias[c]);
        const mcp_words scaled = mcp_scale_all(sums, op->multiplier[c], op->shift[c]);
        mcp_scatter_bytes(output + c, offsets, mcp_output(scaled, zero, low, high));
        weight += length;
    }
}
