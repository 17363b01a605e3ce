/* A model of two layers, small enough to check by hand: out[i] = (x[2i] ^ k[2i]) + (x[2i + 1] ^ k[2i + 1]), / 3. */
#ifndef TINY_H
#define TINY_H

#include <stdint.h>

#define TINY_ARENA_SIZE 64
#define TINY_ARENA_ALIGN 4
#define TINY_INPUT_SIZE 16
#define TINY_INPUT_OFFSET 0
#define TINY_OUTPUT_SIZE 8
#define TINY_OUTPUT_OFFSET 32

int tiny_run(const int8_t *input, int8_t *output, void *arena);

#endif
