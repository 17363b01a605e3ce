/* Depthwise convolution, 3x3, stride 1 or 2, one output channel per input channel. */
#include "mcp_depthwise_conv2d_3x3_dsp.h"

void mcp_depthwise_conv2d_3x3_s8_dsp(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch)
{
    mcp_run_depthwise_conv2d_3x3_dsp(op, input, output, scratch, MCP_OWN);
}
