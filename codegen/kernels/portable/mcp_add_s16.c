/* Sum of two int16 tensors, either broadcast. */
#include "mcp_elementwise_wide.h"

static int32_t add(const mcp_elementwise *op, int32_t a, int32_t b)
{
    return mcp_rescale_wide(&op->a, a) + mcp_rescale_wide(&op->b, b);
}

void mcp_add_s16(const mcp_elementwise *op, const int16_t *a, const int16_t *b, int16_t *output)
{
    mcp_for_each_wide_pair(op, a, b, output, add);
}
