/* Convolution, any window. */
#include "mcp_conv2d.h"

void mcp_conv2d_s8(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch)
{
    mcp_run_conv2d(op, input, output, scratch, MCP_OWN);
}
