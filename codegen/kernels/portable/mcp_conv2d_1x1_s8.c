/* Pointwise convolution without padding, any stride; the bias holds the input offset. */
#include "mcp_conv2d_1x1.h"

void mcp_conv2d_1x1_s8(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch)
{
    mcp_run_conv2d_1x1(op, input, output, scratch, MCP_OWN);
}
