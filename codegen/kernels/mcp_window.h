/* Which part of a sliding window lies inside the image, along one axis. */
#ifndef MCP_WINDOW_H
#define MCP_WINDOW_H

#include "mcp_arithmetic.h"

/* Taps first..end-1 of a kernel are inside; tap first stands at position start. */
typedef struct {
    int32_t start, first, end;
} mcp_span;

static inline mcp_span mcp_clip(int32_t origin, int32_t kernel, int32_t dilation, int32_t size)
{
    mcp_span span = {origin, 0, kernel};
    MCP_ROLLED
    for (; span.start < 0; span.start += dilation) {
        span.first++;
    }
    MCP_ROLLED
    for (int32_t last = origin + (kernel - 1) * dilation; last >= size; last -= dilation) {
        span.end--;
    }
    if (span.end <= span.first) {
        span.start = span.first = span.end = 0;
    }
    return span;
}

/* The same without dilation. */
static inline mcp_span mcp_clip_dense(int32_t origin, int32_t kernel, int32_t size)
{
    mcp_span span = {origin, 0, size - origin};
    if (origin < 0) {
        span.first = -origin;
        span.start = 0;
    }
    if (span.end > kernel) {
        span.end = kernel;
    }
    if (span.end <= span.first) {
        span.start = span.first = span.end = 0;
    }
    return span;
}

#endif
