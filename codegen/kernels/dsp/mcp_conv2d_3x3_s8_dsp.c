/* 3x3 convolution with stride 1. */
#define MCP_PAIRS_SHARED 0
#include "mcp_conv2d_3x3_dsp.h"

void mcp_conv2d_3x3_s8_dsp(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch)
{
    mcp_run_conv2d_3x3_dsp(op, input, output, scratch);
}
