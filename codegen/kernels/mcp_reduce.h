/* Where the elements lie that a reduction joins. */
#ifndef MCP_REDUCE_H
#define MCP_REDUCE_H

#include "mcp_arithmetic.h"
#include "mcp_kernels.h"

typedef int32_t mcp_join(int32_t so_far, int32_t value);

/* All values of one output, joined one by one; join is a function of the including file. */
static inline int32_t mcp_join_all(const mcp_reduction *walk, const int8_t *input, int32_t start,
                                   mcp_join *join)
{
    MCP_ROLLED
    for (int32_t row = walk->rows; row > 0; row--) {
        const int8_t *in = input;
        MCP_ROLLED
        for (int32_t i = walk->run; i > 0; i--) {
            start = join(start, *in);
            in += walk->run_stride;
        }
        input += walk->row_stride;
    }
    return start;
}

#endif
