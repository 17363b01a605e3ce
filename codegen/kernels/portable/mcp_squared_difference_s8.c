/* Square of the difference of two tensors, either broadcast. */
#include "mcp_arithmetic.h"
#include "mcp_elementwise.h"
#include "mcp_kernels.h"

#define HEADROOM 7 /* bits, so that the square of any difference fits 32 */

static inline int8_t square_difference(const mcp_elementwise *op, int32_t a, int32_t b)
{
    const int32_t difference =
        mcp_rescale_operand(&op->a, a, HEADROOM) - mcp_rescale_operand(&op->b, b, HEADROOM);
    return mcp_requantize(difference * difference, op->multiplier, op->shift, op->output_offset,
                          op->clamp_min, op->clamp_max);
}

void mcp_squared_difference_s8(const mcp_elementwise *op, const int8_t *a, const int8_t *b, int8_t *output)
{
    mcp_for_each_pair(op, a, b, output, square_difference);
}
