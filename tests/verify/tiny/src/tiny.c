#include "tiny.h"
#include "tiny_kernels.h"

static const int8_t tiny_key[16] = {1, -2, 3, -4, 5, -6, 7, -8, 9, -10, 11, -12, 13, -14, 15, -16};

int tiny_run(const int8_t *input, int8_t *output, void *arena)
{
    int8_t *const mixed = (int8_t *)arena + 16;
    tiny_xor(input, mixed, tiny_key, TINY_INPUT_SIZE);
    tiny_sum(mixed, output, TINY_OUTPUT_SIZE);
    return 0;
}
