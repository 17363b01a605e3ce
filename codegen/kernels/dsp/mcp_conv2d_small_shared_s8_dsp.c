/* Convolution without dilation, in little code; channels share a multiplier. */
#include "mcp_conv2d_small_dsp.h"

void mcp_conv2d_small_shared_s8_dsp(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch)
{
    mcp_run_conv2d_small_dsp(op, input, output, scratch, MCP_SHARED);
}
