/* The vectors of the M-profile Vector Extension (Helium), integer part, as the mve kernels use them, with
 * their meaning in C for any other target.  Words are four 32-bit numbers, halves eight 16-bit numbers. */
#ifndef MCP_MVE_H
#define MCP_MVE_H

#include "mcp_arithmetic.h"

#if defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1) && defined(__GNUC__)
#define MCP_MVE
#include <arm_mve.h>

typedef int32x4_t mcp_words;
typedef int16x8_t mcp_halves;

/* Tail-predicated loops: the last round touches only what is left.  count > 0. */
static inline void mcp_copy_bytes(int8_t *to, const int8_t *from, int32_t count)
{
    __asm__ volatile("dlstp.8 lr, %[count]\n"
                     "1:\n\t"
                     "vldrb.8 q0, [%[from]], #16\n\t"
                     "vstrb.8 q0, [%[to]], #16\n\t"
                     "letp lr, 1b"
                     : [to] "+&r"(to), [from] "+&r"(from)
                     : [count] "r"(count)
                     : "q0", "lr", "memory");
}

static inline void mcp_fill_bytes(int8_t *to, int32_t value, int32_t count)
{
    __asm__ volatile("vdup.8 q0, %[value]\n\t"
                     "dlstp.8 lr, %[count]\n"
                     "1:\n\t"
                     "vstrb.8 q0, [%[to]], #16\n\t"
                     "letp lr, 1b"
                     : [to] "+&r"(to)
                     : [value] "r"(value), [count] "r"(count)
                     : "q0", "lr", "memory");
}

/* sum + the products of one row of count bytes with each of four others; count > 0. */
static inline mcp_words mcp_dot_four(const int8_t *row, const int8_t *const *others, int32_t count,
                                     int32_t sum)
{
    const int8_t *x0 = others[0], *x1 = others[1], *x2 = others[2], *x3 = others[3];
    int32_t s0 = sum, s1 = sum, s2 = sum, s3 = sum;
    mcp_words sums;
    __asm__("dlstp.8 lr, %[count]\n"
            "1:\n\t"
            "vldrb.8 q0, [%[row]], #16\n\t"
            "vldrb.8 q1, [%[x0]], #16\n\t"
            "vmladava.s8 %[s0], q0, q1\n\t"
            "vldrb.8 q2, [%[x1]], #16\n\t"
            "vmladava.s8 %[s1], q0, q2\n\t"
            "vldrb.8 q1, [%[x2]], #16\n\t"
            "vmladava.s8 %[s2], q0, q1\n\t"
            "vldrb.8 q2, [%[x3]], #16\n\t"
            "vmladava.s8 %[s3], q0, q2\n\t"
            "letp lr, 1b\n\t"
            "vmov %q[sums][2], %q[sums][0], %[s0], %[s2]\n\t"
            "vmov %q[sums][3], %q[sums][1], %[s1], %[s3]"
            : [sums] "=&w"(sums), [row] "+&r"(row), [x0] "+&r"(x0), [x1] "+&r"(x1), [x2] "+&r"(x2),
              [x3] "+&r"(x3), [s0] "+&Te"(s0), [s1] "+&Te"(s1), [s2] "+&Te"(s2), [s3] "+&Te"(s3)
            : [count] "r"(count)
            : "q0", "q1", "q2", "lr", "memory");
    return sums;
}

/* Lanes from count on are 0 when loaded and left alone when stored. */
static inline mcp_words mcp_load_words(const int32_t *from, int32_t count)
{
    return vldrwq_z_s32(from, vctp32q((uint32_t)count));
}

static inline mcp_words mcp_load_bytes(const int8_t *from, int32_t count)
{
    return vldrbq_z_s32(from, vctp32q((uint32_t)count));
}

static inline void mcp_store_bytes(int8_t *to, mcp_words values, int32_t count)
{
    vstrbq_p_s32(to, values, vctp32q((uint32_t)count));
}

/* Lane i goes to to[offsets[i]]. */
static inline void mcp_scatter_bytes(int8_t *to, mcp_words offsets, mcp_words values)
{
    vstrbq_scatter_offset_s32(to, vreinterpretq_u32_s32(offsets), values);
}

static inline mcp_words mcp_add(mcp_words a, mcp_words b)
{
    return vaddq_s32(a, b);
}

static inline mcp_words mcp_shift_left(mcp_words values, int32_t bits)
{
    return vshlq_r_s32(values, bits);
}

/* The same number in all lanes, kept there: a compiler may otherwise load it again for every use. */
static inline mcp_words mcp_spread(int32_t value)
{
    mcp_words all;
    __asm__("vdup.32 %q0, %1" : "=w"(all) : "r"(value));
    return all;
}

/* values + offset, clamped. */
static inline mcp_words mcp_output(mcp_words values, mcp_words offset, mcp_words low, mcp_words high)
{
    return vminq_s32(vmaxq_s32(vaddq_s32(values, offset), low), high);
}

/* mcp_scale of every lane.  The doubling multiplication by 1 adds the sign, -1 or 0, so that the rounding
 * shift rounds half away from zero. */
static inline mcp_words mcp_scale_all(mcp_words values, int32_t multiplier, int32_t shift)
{
    if (MCP_LIKELY(shift < 0)) {
        values = vqrdmulhq_n_s32(values, multiplier);
        values = vqdmlahq_n_s32(values, values, 1);
        return vrshlq_n_s32(values, shift);
    }
    return vqrdmulhq_n_s32(vshlq_r_s32(values, shift), multiplier);
}

static inline mcp_words mcp_scale_each(mcp_words values, mcp_words multipliers, mcp_words shifts)
{
    const mcp_words none = vdupq_n_s32(0);
    values = vqrdmulhq_s32(vshlq_s32(values, vmaxq_s32(shifts, none)), multipliers);
    values = vaddq_s32(values, vshrq_n_s32(vandq_s32(values, shifts), 31));
    return vrshlq_s32(values, vminq_s32(shifts, none));
}
/* Eight numbers as two vectors of words: those of even and of odd lanes. */
typedef struct {
    mcp_words even, odd;
} mcp_lanes;

static inline mcp_lanes mcp_load_lanes(const int32_t *from)
{
    const int32x4x2_t loaded = vld2q_s32(from);
    const mcp_lanes lanes = {loaded.val[0], loaded.val[1]};
    return lanes;
}

static inline mcp_lanes mcp_widen_lanes(mcp_halves values)
{
    const mcp_lanes lanes = {vmovlbq_s16(values), vmovltq_s16(values)};
    return lanes;
}

static inline mcp_halves mcp_load_halves(const int8_t *from)
{
    return vldrbq_s16(from);
}

static inline mcp_halves mcp_zero_halves(void)
{
    return vdupq_n_s16(0);
}

static inline void mcp_store_halves(int16_t *to, mcp_halves values)
{
    vstrhq_s16(to, values);
}

static inline mcp_halves mcp_multiply_halves(mcp_halves a, mcp_halves b)
{
    return vmulq_s16(a, b);
}

static inline mcp_halves mcp_add_halves(mcp_halves a, mcp_halves b)
{
    return vaddq_s16(a, b);
}

/* mcp_scale_each for shifts below 0. */
static inline mcp_words mcp_scale_down(mcp_words values, mcp_words multipliers, mcp_words shifts)
{
    values = vqrdmulhq_s32(values, multipliers);
    return vrshlq_s32(vqdmlahq_n_s32(values, values, 1), shifts);
}

/* values + offset, modulo 2^32, as eight bytes in the order of channels, clamped. */
static inline void mcp_output_lanes(int8_t *to, mcp_lanes values, int32_t offset, int32_t low, int32_t high)
{
    const mcp_words even = vaddq_n_s32(values.even, offset), odd = vaddq_n_s32(values.odd, offset);
    mcp_halves halves = vqmovntq_s32(vqmovnbq_s32(vdupq_n_s16(0), even), odd);
    halves = vminq_s16(vmaxq_s16(halves, vdupq_n_s16((int16_t)low)), vdupq_n_s16((int16_t)high));
    vstrbq_s16(to, halves);
}

/* The smallest and the largest of count bytes; count > 0. */
static inline int32_t mcp_smallest(const int8_t *values, int32_t count)
{
    int32_t least = 127;
    __asm__("dlstp.8 lr, %[count]\n"
            "1:\n\t"
            "vldrb.8 q0, [%[values]], #16\n\t"
            "vminv.s8 %[least], q0\n\t"
            "letp lr, 1b"
            : [values] "+&r"(values), [least] "+&r"(least)
            : [count] "r"(count)
            : "q0", "lr", "memory");
    return least;
}

static inline int32_t mcp_largest(const int8_t *values, int32_t count)
{
    int32_t most = -128;
    __asm__("dlstp.8 lr, %[count]\n"
            "1:\n\t"
            "vldrb.8 q0, [%[values]], #16\n\t"
            "vmaxv.s8 %[most], q0\n\t"
            "letp lr, 1b"
            : [values] "+&r"(values), [most] "+&r"(most)
            : [count] "r"(count)
            : "q0", "lr", "memory");
    return most;
}
#else
typedef struct {
    int32_t lane[4];
} mcp_words;

typedef struct {
    int16_t lane[8];
} mcp_halves;

static inline void mcp_copy_bytes(int8_t *to, const int8_t *from, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        to[i] = from[i];
    }
}

static inline void mcp_fill_bytes(int8_t *to, int32_t value, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        to[i] = (int8_t)value;
    }
}

static inline mcp_words mcp_dot_four(const int8_t *row, const int8_t *const *others, int32_t count,
                                     int32_t sum)
{
    mcp_words sums;
    for (int32_t i = 0; i < 4; i++) {
        sums.lane[i] = sum;
        for (int32_t k = 0; k < count; k++) {
            sums.lane[i] += row[k] * others[i][k];
        }
    }
    return sums;
}

static inline mcp_words mcp_load_words(const int32_t *from, int32_t count)
{
    mcp_words loaded = {{0, 0, 0, 0}};
    for (int32_t i = 0; i < 4 && i < count; i++) {
        loaded.lane[i] = from[i];
    }
    return loaded;
}

static inline mcp_words mcp_load_bytes(const int8_t *from, int32_t count)
{
    mcp_words loaded = {{0, 0, 0, 0}};
    for (int32_t i = 0; i < 4 && i < count; i++) {
        loaded.lane[i] = from[i];
    }
    return loaded;
}

static inline void mcp_store_bytes(int8_t *to, mcp_words values, int32_t count)
{
    for (int32_t i = 0; i < 4 && i < count; i++) {
        to[i] = (int8_t)values.lane[i];
    }
}

static inline void mcp_scatter_bytes(int8_t *to, mcp_words offsets, mcp_words values)
{
    for (int32_t i = 0; i < 4; i++) {
        to[offsets.lane[i]] = (int8_t)values.lane[i];
    }
}

static inline mcp_words mcp_add(mcp_words a, mcp_words b)
{
    for (int32_t i = 0; i < 4; i++) {
        a.lane[i] = (int32_t)((uint32_t)a.lane[i] + (uint32_t)b.lane[i]);
    }
    return a;
}

static inline mcp_words mcp_shift_left(mcp_words values, int32_t bits)
{
    for (int32_t i = 0; i < 4; i++) {
        values.lane[i] = (int32_t)((uint32_t)values.lane[i] << bits);
    }
    return values;
}

static inline mcp_words mcp_spread(int32_t value)
{
    const mcp_words all = {{value, value, value, value}};
    return all;
}

static inline mcp_words mcp_output(mcp_words values, mcp_words offset, mcp_words low, mcp_words high)
{
    values = mcp_add(values, offset);
    for (int32_t i = 0; i < 4; i++) {
        values.lane[i] = mcp_clamp(values.lane[i], low.lane[i], high.lane[i]);
    }
    return values;
}

static inline mcp_words mcp_scale_all(mcp_words values, int32_t multiplier, int32_t shift)
{
    for (int32_t i = 0; i < 4; i++) {
        values.lane[i] = mcp_scale(values.lane[i], multiplier, shift);
    }
    return values;
}

static inline mcp_words mcp_scale_each(mcp_words values, mcp_words multipliers, mcp_words shifts)
{
    for (int32_t i = 0; i < 4; i++) {
        values.lane[i] = mcp_scale(values.lane[i], multipliers.lane[i], shifts.lane[i]);
    }
    return values;
}
typedef struct {
    mcp_words even, odd;
} mcp_lanes;

static inline mcp_lanes mcp_load_lanes(const int32_t *from)
{
    mcp_lanes lanes;
    for (int32_t i = 0; i < 4; i++) {
        lanes.even.lane[i] = from[2 * i];
        lanes.odd.lane[i] = from[2 * i + 1];
    }
    return lanes;
}

static inline mcp_lanes mcp_widen_lanes(mcp_halves values)
{
    mcp_lanes lanes;
    for (int32_t i = 0; i < 4; i++) {
        lanes.even.lane[i] = values.lane[2 * i];
        lanes.odd.lane[i] = values.lane[2 * i + 1];
    }
    return lanes;
}

static inline mcp_halves mcp_load_halves(const int8_t *from)
{
    mcp_halves loaded;
    for (int32_t i = 0; i < 8; i++) {
        loaded.lane[i] = from[i];
    }
    return loaded;
}

static inline mcp_halves mcp_zero_halves(void)
{
    const mcp_halves zero = {{0, 0, 0, 0, 0, 0, 0, 0}};
    return zero;
}

static inline void mcp_store_halves(int16_t *to, mcp_halves values)
{
    for (int32_t i = 0; i < 8; i++) {
        to[i] = values.lane[i];
    }
}

static inline mcp_halves mcp_multiply_halves(mcp_halves a, mcp_halves b)
{
    for (int32_t i = 0; i < 8; i++) {
        a.lane[i] = (int16_t)(a.lane[i] * b.lane[i]);
    }
    return a;
}

static inline mcp_halves mcp_add_halves(mcp_halves a, mcp_halves b)
{
    for (int32_t i = 0; i < 8; i++) {
        a.lane[i] = (int16_t)(a.lane[i] + b.lane[i]);
    }
    return a;
}

static inline mcp_words mcp_scale_down(mcp_words values, mcp_words multipliers, mcp_words shifts)
{
    return mcp_scale_each(values, multipliers, shifts);
}

static inline void mcp_output_lanes(int8_t *to, mcp_lanes values, int32_t offset, int32_t low, int32_t high)
{
    for (int32_t i = 0; i < 4; i++) {
        to[2 * i] = mcp_clamp_sum(values.even.lane[i], offset, low, high);
        to[2 * i + 1] = mcp_clamp_sum(values.odd.lane[i], offset, low, high);
    }
}

static inline int32_t mcp_smallest(const int8_t *values, int32_t count)
{
    int32_t least = 127;
    for (int32_t i = 0; i < count; i++) {
        least = values[i] < least ? values[i] : least;
    }
    return least;
}

static inline int32_t mcp_largest(const int8_t *values, int32_t count)
{
    int32_t most = -128;
    for (int32_t i = 0; i < count; i++) {
        most = values[i] > most ? values[i] : most;
    }
    return most;
}
#endif

#endif
