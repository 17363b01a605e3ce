/* Depthwise convolution with channel multiplier 1 and no dilation; channels share a multiplier. */
#include "mcp_depthwise_conv2d_dsp.h"

void mcp_depthwise_conv2d_shared_s8_dsp(const mcp_conv2d *op, const int8_t *input, int8_t *output,
                                        void *scratch)
{
    mcp_run_depthwise_conv2d_dsp(op, input, output, scratch, MCP_SHARED);
}
