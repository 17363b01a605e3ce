/* The instructions of the DSP extension (Armv7E-M, Armv8-M) that the dsp kernels use, with their meaning in C
 * for any other target.  Pairs are two 16-bit numbers in a word, the lower one first. */
#ifndef MCP_DSP_H
#define MCP_DSP_H

#include "mcp_arithmetic.h"

/* Words at any address, little-endian. */
static inline uint32_t mcp_load_word(const void *address)
{
#if defined(MCP_DSP)
    uint32_t word;
    __builtin_memcpy(&word, address, sizeof(word));
    return word;
#else
    const uint8_t *const p = address;
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
#endif
}

static inline uint32_t mcp_load_half(const void *address)
{
#if defined(MCP_DSP)
    uint16_t half;
    __builtin_memcpy(&half, address, sizeof(half));
    return half;
#else
    const uint8_t *const p = address;
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
#endif
}

static inline void mcp_store_half(void *address, int32_t number)
{
#if defined(MCP_DSP)
    const int16_t half = (int16_t)number;
    __builtin_memcpy(address, &half, sizeof(half));
#else
    uint8_t *const p = address;
    p[0] = (uint8_t)number;
    p[1] = (uint8_t)((uint32_t)number >> 8);
#endif
}

static inline void mcp_store_word(void *address, uint32_t word)
{
#if defined(MCP_DSP)
    __builtin_memcpy(address, &word, sizeof(word));
#else
    uint8_t *const p = address;
    p[0] = (uint8_t)word;
    p[1] = (uint8_t)(word >> 8);
    p[2] = (uint8_t)(word >> 16);
    p[3] = (uint8_t)(word >> 24);
#endif
}

static inline uint32_t mcp_four_bytes(int32_t value)
{
    return (uint32_t)(uint8_t)value * 0x01010101U;
}

static inline uint32_t mcp_pair(int32_t low, int32_t high)
{
    return ((uint32_t)low & 0xffffU) | (uint32_t)high << 16;
}

#if defined(MCP_DSP)
/* Bytes 0 and 2, or 1 and 3, sign-extended; the second form adds them to a pair. */
static inline uint32_t mcp_even_bytes(uint32_t word)
{
    uint32_t pair;
    __asm__("sxtb16 %0, %1" : "=r"(pair) : "r"(word));
    return pair;
}

static inline uint32_t mcp_odd_bytes(uint32_t word)
{
    uint32_t pair;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(word));
    return pair;
}

static inline uint32_t mcp_add_even_bytes(uint32_t pair, uint32_t word)
{
    uint32_t sum;
    __asm__("sxtab16 %0, %1, %2" : "=r"(sum) : "r"(pair), "r"(word));
    return sum;
}

static inline uint32_t mcp_add_odd_bytes(uint32_t pair, uint32_t word)
{
    uint32_t sum;
    __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(sum) : "r"(pair), "r"(word));
    return sum;
}

/* sum + both products; sum + the product of the lower, of the upper numbers. */
static inline int32_t mcp_dot_pair(uint32_t a, uint32_t b, int32_t sum)
{
    __asm__("smlad %0, %1, %2, %0" : "+r"(sum) : "r"(a), "r"(b));
    return sum;
}

static inline int32_t mcp_multiply_low(uint32_t a, uint32_t b, int32_t sum)
{
    __asm__("smlabb %0, %1, %2, %0" : "+r"(sum) : "r"(a), "r"(b));
    return sum;
}

static inline int32_t mcp_multiply_high(uint32_t a, uint32_t b, int32_t sum)
{
    __asm__("smlatt %0, %1, %2, %0" : "+r"(sum) : "r"(a), "r"(b));
    return sum;
}

/* The product of the lower number of a and the upper of b. */
static inline int32_t mcp_multiply_low_high(uint32_t a, uint32_t b, int32_t sum)
{
    int32_t result;
    __asm__("smlabt %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    return result;
}

/* sum + round(a * b / 2^32), sum + round(-a * b / 2^32), halves upwards. */
static inline int32_t mcp_add_high_product(int32_t a, int32_t b, int32_t sum)
{
    int32_t result;
    __asm__("smmlar %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    return result;
}

static inline int32_t mcp_subtract_high_product(int32_t a, int32_t b, int32_t sum)
{
    int32_t result;
    __asm__("smmlsr %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    return result;
}

/* The larger and the smaller of each of four signed bytes. */
static inline uint32_t mcp_max_bytes(uint32_t a, uint32_t b)
{
    uint32_t word;
    __asm__("ssub8 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(word) : "r"(a), "r"(b) : "cc");
    return word;
}

static inline uint32_t mcp_min_bytes(uint32_t a, uint32_t b)
{
    uint32_t word;
    __asm__("ssub8 %0, %1, %2\n\tsel %0, %2, %1" : "=&r"(word) : "r"(a), "r"(b) : "cc");
    return word;
}

/* The lower numbers of both; the upper numbers of both. */
static inline uint32_t mcp_join_low(uint32_t first, uint32_t second)
{
    uint32_t pair;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(pair) : "r"(first), "r"(second));
    return pair;
}

static inline uint32_t mcp_join_high(uint32_t first, uint32_t second)
{
    uint32_t pair;
    __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(pair) : "r"(second), "r"(first));
    return pair;
}
#else
static inline uint32_t mcp_even_bytes(uint32_t word)
{
    return mcp_pair((int8_t)word, (int8_t)(word >> 16));
}

static inline uint32_t mcp_odd_bytes(uint32_t word)
{
    return mcp_even_bytes(word >> 8);
}

static inline uint32_t mcp_add_even_bytes(uint32_t pair, uint32_t word)
{
    return mcp_pair((int16_t)pair + (int8_t)word, (int16_t)(pair >> 16) + (int8_t)(word >> 16));
}

static inline uint32_t mcp_add_odd_bytes(uint32_t pair, uint32_t word)
{
    return mcp_add_even_bytes(pair, word >> 8);
}

static inline int32_t mcp_multiply_low(uint32_t a, uint32_t b, int32_t sum)
{
    return sum + (int16_t)a * (int16_t)b;
}

static inline int32_t mcp_multiply_high(uint32_t a, uint32_t b, int32_t sum)
{
    return sum + (int16_t)(a >> 16) * (int16_t)(b >> 16);
}

static inline int32_t mcp_dot_pair(uint32_t a, uint32_t b, int32_t sum)
{
    return mcp_multiply_high(a, b, mcp_multiply_low(a, b, sum));
}

static inline int32_t mcp_multiply_low_high(uint32_t a, uint32_t b, int32_t sum)
{
    return sum + (int16_t)a * (int16_t)(b >> 16);
}

static inline int32_t mcp_add_high_product(int32_t a, int32_t b, int32_t sum)
{
    return sum + (int32_t)(((int64_t)a * b + ((int64_t)1 << 31)) >> 32);
}

static inline int32_t mcp_subtract_high_product(int32_t a, int32_t b, int32_t sum)
{
    return sum + (int32_t)((((int64_t)1 << 31) - (int64_t)a * b) >> 32);
}

static inline uint32_t mcp_max_bytes(uint32_t a, uint32_t b)
{
    uint32_t word = 0;
    for (uint32_t bit = 0; bit < 32; bit += 8) {
        const int8_t left = (int8_t)(a >> bit), right = (int8_t)(b >> bit);
        word |= (uint32_t)(uint8_t)(left > right ? left : right) << bit;
    }
    return word;
}

static inline uint32_t mcp_min_bytes(uint32_t a, uint32_t b)
{
    return ~mcp_max_bytes(~a, ~b);
}

static inline uint32_t mcp_join_low(uint32_t first, uint32_t second)
{
    return mcp_pair((int16_t)first, (int16_t)second);
}

static inline uint32_t mcp_join_high(uint32_t first, uint32_t second)
{
    return mcp_pair((int16_t)(first >> 16), (int16_t)(second >> 16));
}
#endif

/* Products of 4 * words weights, each word in the order k, k+2, k+1, k+3, with 16-bit inputs; words > 0. */
static inline int32_t mcp_dot_row(const int8_t *weight, const int16_t *input, int32_t words, int32_t sum)
{
    MCP_ROLLED
    do {
        const uint32_t word = mcp_load_word(weight);
        sum = mcp_dot_pair(mcp_even_bytes(word), mcp_load_word(input), sum);
        sum = mcp_dot_pair(mcp_odd_bytes(word), mcp_load_word(input + 2), sum);
        weight += 4;
        input += 4;
    } while (--words != 0);
    return sum;
}

/* mcp_requantize without clamping to less than int8: mcp_clamp_all does that in the rare case that it is
 * asked for. */
static inline int8_t mcp_requantize_wide(int32_t sum, int32_t multiplier, int32_t shift, int32_t offset)
{
#if defined(MCP_DSP)
    int32_t value;
    if (MCP_LIKELY(shift < 0)) {
        const int32_t high = mcp_high_multiply_normal(sum, multiplier);
        value = offset + ((((high + (high >> 31)) >> ~shift) + 1) >> 1);
    } else {
        value = offset + mcp_scale(sum, multiplier, shift);
    }
    __asm__ volatile("ssat %0, #8, %1" : "=r"(value) : "r"(value));
    return (int8_t)value;
#else
    return mcp_requantize(sum, multiplier, shift, offset, -128, 127);
#endif
}

/* Requantization with a shift below -1 in four instructions. */
typedef struct {
    int32_t multiplier; /* 2 * multiplier - 2^32: the sum itself makes up for the difference */
    int32_t power;      /* 2^(32 + shift): the upper word of a product with it is shifted and rounded */
    int32_t offset;
} mcp_scaling;

static inline mcp_scaling mcp_scaling_of(int32_t multiplier, int32_t shift, int32_t offset)
{
    const mcp_scaling s = {(int32_t)((uint32_t)multiplier << 1), (int32_t)(1U << (32 + shift)), offset};
    return s;
}

static inline int8_t mcp_rescale(int32_t sum, mcp_scaling s)
{
    int32_t value = mcp_add_high_product(sum, s.multiplier, sum);
    value = mcp_add_high_product(value + (value >> 31), s.power, s.offset);
#if defined(MCP_DSP)
    __asm__("ssat %0, #8, %1" : "=r"(value) : "r"(value));
    return (int8_t)value;
#else
    return mcp_clamp(value, -128, 127);
#endif
}

static inline void mcp_clamp_all(int8_t *values, const int8_t *end, int32_t low, int32_t high)
{
    if (low > -128 || high < 127) {
        MCP_ROLLED
        while (values < end) {
            *values = mcp_clamp(*values, low, high);
            values++;
            MCP_KEEP_LOOP();
        }
    }
}

#if defined(MCP_DSP)
/* Fours of bytes: the loads of sixteen of them stand together, because only neighbours overlap in time. */
#define MCP_WIDEN_LOOP(STORE)                                                                                \
    "subs %[count], #16\n"                                                                                   \
    "blt 2f\n"                                                                                               \
    "1:\n"                                                                                                   \
    "ldr %[a], [%[in]], #4\n"                                                                                \
    "ldr %[b], [%[in]], #4\n"                                                                                \
    "ldr %[c], [%[in]], #4\n"                                                                                \
    "ldr %[d], [%[in]], #4\n"                                                                                \
    ".irp word, %[a], %[b], %[c], %[d]\n" STORE ".endr\n"                                                    \
    "subs %[count], #16\n"                                                                                   \
    "bge 1b\n"                                                                                               \
    "2:\n"                                                                                                   \
    "adds %[count], #12\n"                                                                                   \
    "blt 4f\n"                                                                                               \
    "3:\n"                                                                                                   \
    "ldr %[a], [%[in]], #4\n"                                                                                \
    ".irp word, %[a]\n" STORE ".endr\n"                                                                      \
    "subs %[count], #4\n"                                                                                    \
    "bge 3b\n"                                                                                               \
    "4:\n"
#define MCP_EXTEND                                                                                           \
    "sxtab16 %[odd], %[offsets], \\word, ror #8\n"                                                           \
    "sxtab16 \\word, %[offsets], \\word\n"
#define MCP_WIDEN_APART                                                                                      \
    MCP_EXTEND "str \\word, [%[out]], #4\n"                                                                  \
               "str %[odd], [%[out]], #4\n"
#define MCP_WIDEN_IN_ORDER                                                                                   \
    MCP_EXTEND "pkhbt %[even], \\word, %[odd], lsl #16\n"                                                    \
               "pkhtb %[odd], %[odd], \\word, asr #16\n"                                                     \
               "str %[even], [%[out]], #4\n"                                                                 \
               "str %[odd], [%[out]], #4\n"
#define MCP_WIDEN_OPERANDS                                                                                   \
    [count] "+r"(count), [in] "+r"(input), [out] "+r"(output), [a] "=&r"(a), [b] "=&r"(b), [c] "=&r"(c),     \
        [d] "=&r"(d), [odd] "=&r"(odd)
#endif

/* count bytes as 16-bit numbers, offset added. */
static inline void mcp_widen(int16_t *output, const int8_t *input, int32_t count, int32_t offset)
{
    const uint32_t offsets = mcp_pair(offset, offset);
#if defined(MCP_DSP)
    uint32_t a, b, c, d, even, odd;
    __asm__ volatile(MCP_WIDEN_LOOP(MCP_WIDEN_IN_ORDER)
                     : MCP_WIDEN_OPERANDS, [even] "=&r"(even)
                     : [offsets] "r"(offsets)
                     : "cc", "memory");
    count += 4;
#else
    for (; count >= 4; count -= 4) {
        const uint32_t word = mcp_load_word(input);
        const uint32_t even = mcp_add_even_bytes(offsets, word);
        const uint32_t odd = mcp_add_odd_bytes(offsets, word);
        mcp_store_word(output, mcp_join_low(even, odd));
        mcp_store_word(output + 2, mcp_join_high(even, odd));
        input += 4;
        output += 4;
    }
#endif
    MCP_ROLLED
    for (; count > 0; count--) {
        *output++ = (int16_t)(*input++ + offset);
    }
}

/* The same in the order 0, 2, 1, 3 of every four, as sign extension takes bytes apart: two instructions less.
 */
static inline void mcp_widen_apart(int16_t *output, const int8_t *input, int32_t count, int32_t offset)
{
    const uint32_t offsets = mcp_pair(offset, offset);
#if defined(MCP_DSP)
    uint32_t a, b, c, d, odd;
    __asm__ volatile(MCP_WIDEN_LOOP(MCP_WIDEN_APART)
                     : MCP_WIDEN_OPERANDS
                     : [offsets] "r"(offsets)
                     : "cc", "memory");
    count += 4;
#else
    for (; count >= 4; count -= 4) {
        const uint32_t word = mcp_load_word(input);
        mcp_store_word(output, mcp_add_even_bytes(offsets, word));
        mcp_store_word(output + 2, mcp_add_odd_bytes(offsets, word));
        input += 4;
        output += 4;
    }
#endif
    MCP_ROLLED
    for (int32_t i = 0; i < count; i++) {
        output[2 * i - 3 * (i / 2)] = (int16_t)(input[i] + offset);
    }
}

static inline void mcp_copy_bytes(int8_t *output, const int8_t *input, int32_t count)
{
    MCP_ROLLED
    for (; count >= 4; count -= 4) {
        mcp_store_word(output, mcp_load_word(input));
        output += 4;
        input += 4;
        MCP_KEEP_LOOP();
    }
    MCP_ROLLED
    for (; count > 0; count--) {
        *output++ = *input++;
        MCP_KEEP_LOOP();
    }
}

/* Of four channels side by side. */
typedef struct {
    int32_t c0, c1, c2, c3;
} mcp_sums;

/* Sums + the products of four bytes each, offsets added to those of x. */
static inline mcp_sums mcp_add_tap(mcp_sums s, uint32_t offsets, uint32_t x, uint32_t k)
{
    const uint32_t even_x = mcp_add_even_bytes(offsets, x), even_k = mcp_even_bytes(k);
    const uint32_t odd_x = mcp_add_odd_bytes(offsets, x), odd_k = mcp_odd_bytes(k);
    s.c0 = mcp_multiply_low(even_x, even_k, s.c0);
    s.c1 = mcp_multiply_low(odd_x, odd_k, s.c1);
    s.c2 = mcp_multiply_high(even_x, even_k, s.c2);
    s.c3 = mcp_multiply_high(odd_x, odd_k, s.c3);
    return s;
}

/* An even number of words, not none. */
static inline void mcp_clear_words(int16_t *output, int32_t words)
{
    MCP_ROLLED
    do {
        mcp_store_word(output, 0);
        mcp_store_word(output + 2, 0);
        output += 4;
        words -= 2;
        MCP_KEEP_LOOP();
    } while (words != 0);
}

#endif
