/* What a row buffer needs besides kernels: moving and copying rows. */
#include "mcp_arithmetic.h"
#include "mcp_rows.h"

void mcp_copy_row(int8_t *row, const int8_t *source, int32_t row_bytes)
{
#if defined(__ARM_FEATURE_UNALIGNED) && defined(__GNUC__)
    MCP_ROLLED
    for (; row_bytes >= 8; row_bytes -= 8) {
        uint32_t first, second;
        __builtin_memcpy(&first, source, 4);
        __builtin_memcpy(&second, source + 4, 4);
        __builtin_memcpy(row, &first, 4);
        __builtin_memcpy(row + 4, &second, 4);
        source += 8;
        row += 8;
    }
#endif
    MCP_ROLLED
    for (; row_bytes > 0; row_bytes--) {
        *row++ = *source++;
        MCP_KEEP_LOOP();
    }
}

int8_t *mcp_next_row(int8_t *buffer, int32_t rows, int32_t row_bytes)
{
    const int32_t kept = (rows - 1) * row_bytes;
    mcp_copy_row(buffer, buffer + row_bytes, kept);
    return buffer + kept;
}
