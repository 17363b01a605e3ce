/* Requantization of 64-bit sums of int16 activations times int8 weights: the multiplier is cut to 16 bits and
 * everything is rounded once, as in TensorFlow Lite. */
#ifndef MCP_WIDE_H
#define MCP_WIDE_H

#include "mcp_arithmetic.h"

/* value * factor for a value of 48 bits and a factor of 15. */
static inline int64_t mcp_multiply_wide(int64_t value, int32_t factor)
{
#if defined(MCP_NARROW_MULTIPLY)
    const uint32_t low = (uint32_t)value;
    const uint32_t first = (low & 0xffffU) * (uint32_t)factor, second = (low >> 16) * (uint32_t)factor;
    const uint32_t third = (uint32_t)((int32_t)(value >> 32) * factor);
    const uint64_t shifted = ((uint64_t)(second >> 16) << 32) | (second << 16);
    return (int64_t)(((uint64_t)third << 32) + shifted + first);
#else
    return value * factor;
#endif
}

/* value * multiplier / 2^31 * 2^shift, rounded half upwards; shift -31..7. */
static inline int32_t mcp_scale_wide(int64_t value, int32_t multiplier, int32_t shift)
{
    const int32_t factor = multiplier < 0x7fff0000 ? (multiplier + (1 << 15)) >> 16 : 0x7fff;
    const int32_t right = 15 - shift; /* 8..46; shifts of 64 bits are calls on small cores */
    const uint64_t product = (uint64_t)mcp_multiply_wide(value, factor);
    if (right > 32) {
        const int32_t high = (int32_t)(uint32_t)(product >> 32);
        return ((high >> (right - 33)) + 1) >> 1;
    } else {
        const uint64_t total = product + (1U << (right - 1));
        const uint32_t high = (uint32_t)(total >> 32);
        return (int32_t)(right == 32 ? high : ((uint32_t)total >> right) | (high << (32 - right)));
    }
}

/* sum / count for int16 summands, up to 2^16 of them, rounded half away from zero. */
static inline int32_t mcp_mean_wide(int32_t sum, int32_t count)
{
    const uint32_t divisor = (uint32_t)count;
    uint32_t dividend = (sum < 0 ? 0U - (uint32_t)sum : (uint32_t)sum) + divisor / 2U;
#if !defined(MCP_NO_DIVISION)
    const uint32_t quotient = dividend / divisor;
#else
    uint32_t quotient = 0;
    MCP_ROLLED
    for (int32_t bit = 15; bit >= 0; bit--) {
        if (dividend >= divisor << bit) {
            dividend -= divisor << bit;
            quotient += 1U << bit;
        }
    }
#endif
    return sum < 0 ? -(int32_t)quotient : (int32_t)quotient;
}

static inline int16_t mcp_clamp_wide(int32_t value, int32_t low, int32_t high)
{
    value = value < low ? low : value;
    return (int16_t)(value > high ? high : value);
}

#endif
