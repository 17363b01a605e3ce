#include "tiny_kernels.h"
void tiny_xor(const int8_t *input, int8_t *output, const int8_t *key, int32_t count)
{
    for (int32_t i = 0; i < count; ++i) {
        output[i] = (int8_t)(input[i] ^ key[i]);
    }
}
