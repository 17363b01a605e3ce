/* The same bytes at another place. */
#include "mcp_arithmetic.h"
#include "mcp_kernels.h"

void mcp_copy(const mcp_copied *op, const int8_t *input, int8_t *output)
{
    MCP_ROLLED
    for (int32_t i = 0; i < op->bytes; i++) {
        output[i] = input[i];
        MCP_KEEP_LOOP();
    }
}
