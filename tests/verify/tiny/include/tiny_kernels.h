#include <stdint.h>
void tiny_xor(const int8_t *input, int8_t *output, const int8_t *key, int32_t count);
void tiny_sum(const int8_t *input, int8_t *output, int32_t count);
