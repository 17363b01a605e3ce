/* Fully connected layer; the bias holds the input offset. */
#include "mcp_fully_connected.h"

void mcp_fully_connected_s8(const mcp_fully_connected *op, const int8_t *input, int8_t *output, void *scratch)
{
    mcp_run_fully_connected(op, input, output, scratch, MCP_OWN);
}
