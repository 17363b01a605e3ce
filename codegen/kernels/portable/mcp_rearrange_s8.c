/* Elements in another order, or some of them: slices, transpositions, space to depth and back, repetition. */
#include "mcp_arithmetic.h"
#include "mcp_kernels.h"

void mcp_rearrange_s8(const mcp_rearrange *op, const int8_t *input, int8_t *output)
{
    const int8_t *level0 = input + op->start;
    MCP_ROLLED
    for (int32_t i = op->count0; i > 0; i--) {
        const int8_t *level1 = level0;
        MCP_ROLLED
        for (int32_t j = op->count1; j > 0; j--) {
            const int8_t *level2 = level1;
            MCP_ROLLED
            for (int32_t k = op->count2; k > 0; k--) {
                const int8_t *in = level2;
                MCP_ROLLED
                for (int32_t n = op->count3; n > 0; n--) {
                    *output++ = *in;
                    in += op->stride3;
                    MCP_KEEP_LOOP();
                }
                level2 += op->stride2;
            }
            level1 += op->stride1;
        }
        level0 += op->stride0;
    }
}
