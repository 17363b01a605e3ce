/* Any function of one value, tabulated. */
#include "mcp_arithmetic.h"
#include "mcp_kernels.h"

void mcp_lookup_s8(const mcp_lookup *op, const int8_t *input, int8_t *output)
{
    const int8_t *const table = op->table + 128;
    MCP_ROLLED
    for (int32_t i = 0; i < op->elements; i++) {
        output[i] = table[input[i]];
    }
}
