/* Integer arithmetic shared by the kernels: requantization with TensorFlow Lite's double rounding.
 * Right shifts of negative numbers are arithmetic, as on every supported compiler. */
#ifndef MCP_ARITHMETIC_H
#define MCP_ARITHMETIC_H

#include <stdint.h>

#if (defined(__ARM_ARCH) && __ARM_ARCH_ISA_THUMB == 1) || (defined(__riscv) && !defined(__riscv_mul))
#define MCP_NARROW_MULTIPLY /* no 32x32 -> 64 multiplication: four 16-bit ones */
#endif

#if (defined(__arm__) && !defined(__ARM_FEATURE_IDIV)) || (defined(__riscv) && !defined(__riscv_div))
#define MCP_NO_DIVISION /* no division instruction */
#endif

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP && defined(__GNUC__)
#define MCP_DSP /* the DSP instructions of Armv7E-M and Armv8-M are there */
#endif

/* In a loop that copies or fills: keeps the compiler from turning it into a call of memcpy or memset. */
#if defined(__GNUC__)
#define MCP_KEEP_LOOP() __asm__ volatile("")
#else
#define MCP_KEEP_LOOP() ((void)0)
#endif

#if defined(__GNUC__)
#define MCP_LIKELY(condition) __builtin_expect((condition), 1)
#else
#define MCP_LIKELY(condition) (condition)
#endif

/* A function that keeps registers of its own: inlined, its loop would share them with the caller's. */
#if defined(__GNUC__)
#define MCP_APART __attribute__((noinline))
#else
#define MCP_APART
#endif

/* Before a loop that is not worth the code of unrolling. */
#if defined(__clang__)
#define MCP_ROLLED _Pragma("clang loop unroll(disable)")
#elif defined(__GNUC__) && __GNUC__ >= 8
#define MCP_ROLLED _Pragma("GCC unroll 1")
#else
#define MCP_ROLLED
#endif

/* Before a loop that is worth the code of unrolling. */
#if defined(__clang__)
#define MCP_UNROLLED_TWICE _Pragma("clang loop unroll_count(2)")
#elif defined(__GNUC__) && __GNUC__ >= 8
#define MCP_UNROLLED_TWICE _Pragma("GCC unroll 2")
#else
#define MCP_UNROLLED_TWICE
#endif

/* round(a * b / 2^31), half upwards; not both may be -2^31. */
static inline int32_t mcp_high_multiply(int32_t a, int32_t b)
{
#if defined(MCP_NARROW_MULTIPLY)
    const int32_t a_high = a >> 16, b_high = b >> 16;
    const uint32_t a_low = (uint32_t)a & 0xffffU, b_low = (uint32_t)b & 0xffffU;
    const uint32_t low = a_low * b_low;
    const int32_t left = a_high * (int32_t)b_low + (int32_t)(low >> 16);
    const int32_t right = (int32_t)a_low * b_high + (int32_t)((uint32_t)left & 0xffffU);
    /* The low word is (right << 16) + (low & 0xffff); adding 2^30 carries where its two top bits are set. */
    const uint32_t top = ((uint32_t)right & 0xffffU) + 0x4000U;
    const int32_t high = a_high * b_high + (left >> 16) + (right >> 16) + (int32_t)(top >> 16);
    return (int32_t)(((uint32_t)high << 1) | ((top >> 15) & 1U));
#else
    return (int32_t)(((int64_t)a * b + (1 << 30)) >> 31);
#endif
}

#if defined(MCP_DSP)
/* The same for b of 2^30 or more in one instruction, because (a << 32) + a * (2b - 2^32) = 2ab. */
static inline int32_t mcp_high_multiply_normal(int32_t a, int32_t b)
{
    int32_t high;
    __asm__("smmlar %0, %1, %2, %1" : "=r"(high) : "r"(a), "r"((uint32_t)b << 1));
    return high;
}
#endif

/* value / 2^exponent, rounded half away from zero; exponent 1..31. */
static inline int32_t mcp_round_shift(int32_t value, int32_t exponent)
{
    return (((value + (value >> 31)) >> (exponent - 1)) + 1) >> 1;
}

/* value * multiplier / 2^31 * 2^shift, rounded twice; shift -31..30. */
static inline int32_t mcp_scale_any(int32_t value, int32_t multiplier, int32_t shift)
{
    const int32_t shifted = shift > 0 ? (int32_t)((uint32_t)value << shift) : value;
    const int32_t scaled = mcp_high_multiply(shifted, multiplier);
    return shift < 0 ? mcp_round_shift(scaled, -shift) : scaled;
}

/* The same where the multiplier is 2^30 or more, or 0 and the shift 0 as well. */
static inline int32_t mcp_scale(int32_t value, int32_t multiplier, int32_t shift)
{
#if defined(MCP_DSP)
    if (shift < 0) {
        return mcp_round_shift(mcp_high_multiply_normal(value, multiplier), -shift);
    }
#endif
    return mcp_scale_any(value, multiplier, shift);
}

static inline int8_t mcp_clamp(int32_t value, int32_t low, int32_t high)
{
    value = value < low ? low : value;
    return (int8_t)(value > high ? high : value);
}

/* The sum, modulo 2^32 as the hardware has it, within the limits. */
static inline int8_t mcp_clamp_sum(int32_t value, int32_t offset, int32_t low, int32_t high)
{
    return mcp_clamp((int32_t)((uint32_t)value + (uint32_t)offset), low, high);
}

/* dividend / divisor where the quotient is below 256. */
static inline int32_t mcp_divide_small(int32_t dividend, int32_t divisor)
{
#if !defined(MCP_NO_DIVISION)
    return dividend / divisor;
#else
    int32_t quotient = 0;
    MCP_ROLLED
    for (int32_t bit = 7; bit >= 0; bit--) {
        if (dividend >= divisor << bit) {
            dividend -= divisor << bit;
            quotient += 1 << bit;
        }
    }
    return quotient;
#endif
}

/* sum / count for int8 summands, rounded half away from zero. */
static inline int32_t mcp_mean(int32_t sum, int32_t count)
{
    return sum < 0 ? -mcp_divide_small(count / 2 - sum, count) : mcp_divide_small(count / 2 + sum, count);
}

/* An accumulator as an output value. */
static inline int8_t mcp_requantize(int32_t sum, int32_t multiplier, int32_t shift, int32_t offset,
                                    int32_t low, int32_t high)
{
    return mcp_clamp_sum(mcp_scale(sum, multiplier, shift), offset, low, high);
}

#endif
