/* Bias and scale of an output channel, in either form that a layer keeps them: arrays of biases, multipliers
 * and shifts, or, where channels share one multiplier, a word for each channel, the bias above its shift. */
#ifndef MCP_CHANNELS_H
#define MCP_CHANNELS_H

#include "mcp_arithmetic.h"
#include "mcp_kernels.h"

enum { MCP_OWN = 0, MCP_SHARED = 1, MCP_SHIFT_BITS = 6 };

typedef struct {
    int32_t multiplier, shift;
} mcp_channel_scale;

static inline int32_t mcp_word_bias(int32_t word)
{
    return word >> MCP_SHIFT_BITS;
}

static inline int32_t mcp_word_shift(int32_t word)
{
    return (int32_t)((uint32_t)word << (32 - MCP_SHIFT_BITS)) >> (32 - MCP_SHIFT_BITS);
}

/* shared is a constant: the compiler keeps one of the forms. */
static inline int32_t mcp_bias_of(const mcp_conv2d *op, int32_t channel, int32_t shared)
{
    return shared ? mcp_word_bias(op->bias[channel]) : op->bias[channel];
}

static inline mcp_channel_scale mcp_scale_of(const mcp_conv2d *op, int32_t channel, int32_t shared)
{
    mcp_channel_scale scale;
    if (shared) {
        scale.multiplier = *op->multiplier;
        scale.shift = mcp_word_shift(op->bias[channel]);
    } else {
        scale.multiplier = op->multiplier[channel];
        scale.shift = op->shift[channel];
    }
    return scale;
}

#endif
