/* Fully connected layer, four rows of weights at a time; channels share a multiplier. */
#define MCP_FOURS_SHARED 1
#include "mcp_fully_connected_dsp.h"

void mcp_fully_connected_shared_s8_dsp(const mcp_fully_connected *op, const int8_t *input, int8_t *output,
                                       void *scratch)
{
    mcp_run_fully_connected_dsp(op, input, output, scratch);
}
