/* Row buffers: the rows of a tensor that are in use, the newest one last. */
#ifndef MCP_ROWS_H
#define MCP_ROWS_H

#include <stdint.h>

/* Whether a row is made at this tick: the first at first, one every period ticks (a power of two), the last
 * at last. */
static inline int mcp_row_due(int32_t tick, int32_t first, int32_t period, int32_t last)
{
    return tick >= first && tick <= last && ((tick - first) & (period - 1)) == 0;
}

/* Moves the rows of a buffer up by one, the oldest is lost; returns the place of the new one. */
int8_t *mcp_next_row(int8_t *buffer, int32_t rows, int32_t row_bytes);
void mcp_copy_row(int8_t *row, const int8_t *source, int32_t row_bytes);

#endif
