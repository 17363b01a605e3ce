/* Bilinear interpolation with coordinates in 1/1024 of a pixel. */
#include "mcp_arithmetic.h"
#include "mcp_kernels.h"

typedef struct {
    int32_t low, high; /* neighbours, in pixels */
    int32_t weight;    /* of the higher one, of 1024; below 0 before the first pixel */
} coordinate;

static coordinate locate(int32_t position, int32_t step, int32_t half, int32_t size)
{
    const int32_t scaled = position * step + half;
    coordinate found = {0, 0, scaled};
    if (scaled > 0) {
        found.low = scaled >> 10;
        found.high = (scaled + 1023) >> 10;
        found.weight = scaled - found.low * 1024;
    }
    if (found.high > size - 1) {
        found.high = size - 1;
    }
    return found;
}

/* value / 2^20, rounded half away from zero. */
static inline int8_t round_20(int32_t value)
{
    return (int8_t)(value > 0 ? (value + (1 << 19)) >> 20 : -(((1 << 19) - value) >> 20));
}

void mcp_resize_bilinear_s8(const mcp_resize_bilinear *op, const int8_t *input, int8_t *output)
{
    const int32_t line = op->in_w * op->channels;
    MCP_ROLLED
    for (int32_t oy = 0; oy < op->out_h; oy++) {
        const coordinate y = locate(oy, op->step_h, op->half_h, op->in_h);
        const int8_t *const top = input + y.low * line, *const bottom = input + y.high * line;
        MCP_ROLLED
        for (int32_t ox = 0; ox < op->out_w; ox++) {
            const coordinate x = locate(ox, op->step_w, op->half_w, op->in_w);
            const int32_t left = x.low * op->channels, right = x.high * op->channels;
            const int32_t weight_right = x.weight, weight_left = 1024 - weight_right;
            MCP_ROLLED
            for (int32_t c = 0; c < op->channels; c++) {
                const int32_t above = top[left + c] * weight_left + top[right + c] * weight_right;
                const int32_t below = bottom[left + c] * weight_left + bottom[right + c] * weight_right;
                *output++ = round_20(above * (1024 - y.weight) + below * y.weight);
            }
        }
    }
}
