/* The functions of recurrent layers on 16-bit numbers, shared by kernels. */
#ifndef MCP_GATES_H
#define MCP_GATES_H

#include <stdint.h>

/* The functions of value * multiplier / 2^shift / 3 / 2^12, in units of 2^-15. */
int32_t mcp_sigmoid_s16(int32_t value, int32_t multiplier, int32_t shift);
int32_t mcp_tanh_s16(int32_t value, int32_t multiplier, int32_t shift);

static inline int32_t mcp_clamp_s16(int32_t value)
{
    return value < -32768 ? -32768 : value > 32767 ? 32767 : value;
}

/* start + the sum of a[i] * b[i], modulo 2^32. */
static inline int32_t mcp_dot_s8(const int8_t *a, const int8_t *b, int32_t count, int32_t start)
{
    uint32_t sum = (uint32_t)start;
    for (int32_t i = 0; i < count; i++) {
        sum += (uint32_t)(a[i] * b[i]);
    }
    return (int32_t)sum;
}

#endif
