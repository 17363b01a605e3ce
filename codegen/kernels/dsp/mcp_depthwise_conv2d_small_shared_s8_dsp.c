/* Depthwise convolution of four channels or more, in little code; channels share a multiplier. */
#include "mcp_depthwise_conv2d_small_dsp.h"

void mcp_depthwise_conv2d_small_shared_s8_dsp(const mcp_conv2d *op, const int8_t *input, int8_t *output,
                                              void *scratch)
{
    mcp_run_depthwise_conv2d_small_dsp(op, input, output, scratch, MCP_SHARED);
}
