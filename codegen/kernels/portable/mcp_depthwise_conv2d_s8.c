/* Depthwise convolution, any window and channel multiplier. */
#include "mcp_depthwise_conv2d.h"

void mcp_depthwise_conv2d_s8(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch)
{
    mcp_run_depthwise_conv2d(op, input, output, scratch, MCP_OWN);
}
