/* Convolution without dilation; channels share a multiplier. */
#include "mcp_conv2d_dsp.h"

void mcp_conv2d_shared_s8_dsp(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch)
{
    mcp_run_conv2d_dsp(op, input, output, scratch, mcp_rows_shared_s8_dsp);
}
