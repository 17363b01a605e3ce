/* Fully connected layer, four rows of weights at a time. */
#define MCP_FOURS_SHARED 0
#include "mcp_fully_connected_dsp.h"

void mcp_fully_connected_s8_dsp(const mcp_fully_connected *op, const int8_t *input, int8_t *output,
                                void *scratch)
{
    mcp_run_fully_connected_dsp(op, input, output, scratch);
}
