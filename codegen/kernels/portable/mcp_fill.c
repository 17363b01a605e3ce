/* One byte everywhere: a state's first value, rows of padding. */
#include "mcp_arithmetic.h"
#include "mcp_kernels.h"

void mcp_fill(int8_t *output, int32_t bytes, int8_t value)
{
    MCP_ROLLED
    for (int32_t i = 0; i < bytes; i++) {
        output[i] = value;
        MCP_KEEP_LOOP();
    }
}
