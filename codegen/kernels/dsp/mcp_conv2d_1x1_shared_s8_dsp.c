/* Pointwise convolution without padding, any stride; channels share a multiplier. */
#include "mcp_conv2d_1x1_dsp.h"

void mcp_conv2d_1x1_shared_s8_dsp(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch)
{
    mcp_run_conv2d_1x1_dsp(op, input, output, scratch, mcp_rows_shared_s8_dsp);
}
