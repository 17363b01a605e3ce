/* All output channels of up to three pixels whose inputs are gathered. */
#define MCP_PAIRS_SHARED 0
#include "mcp_rows_dsp.h"

void mcp_rows_s8_dsp(const mcp_conv2d *op, int32_t pairs, const int16_t *input, int32_t pixels,
                     int8_t *output)
{
    mcp_run_rows(op, pairs, input, pixels, output);
}
