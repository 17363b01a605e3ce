#include "tiny_kernels.h"

void tiny_sum(const int8_t *input, int8_t *output, int32_t count)
{
    volatile int8_t sums[16]; /* so that the stack has something to hold */
    for (int32_t i = 0; i < count; ++i) {
        sums[i & 15] = (int8_t)(input[2 * i] + input[2 * i + 1]);
        output[i] = (int8_t)(sums[i & 15] / 3);
    }
}
