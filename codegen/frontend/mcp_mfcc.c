/* Window, Fourier transform, mel filters, logarithm, cosine transform, quantization; see mcp_mfcc.h.
 * Energies count relative to the clip's largest sample, so that quiet recordings look like loud ones. */
#include "mcp_arithmetic.h"
#include "mcp_mfcc.h"

enum {
    POINT = 15,  /* bits behind the point of tables, logarithms and coefficients */
    FRACTION = 6 /* bits of the transform's values below a step of the audio */
};

/* value * factor / 2^15, halves upwards; |value| at most 2^30.  Two products of 32 bits. */
static inline int32_t times(int32_t value, int32_t factor)
{
    return (value >> POINT) * factor + (((value & 0x7fff) * factor + (1 << (POINT - 1))) >> POINT);
}

static MCP_APART int32_t bit_length(uint64_t value)
{
    uint32_t word = (uint32_t)(value >> 32);
    int32_t length = word != 0 ? 32 : 0;
    word = word != 0 ? word : (uint32_t)value;
    MCP_ROLLED
    for (int32_t step = 16; step > 0; step >>= 1) {
        if (word >> step != 0) {
            word >>= step;
            length += step;
        }
    }
    return length + (word != 0);
}

/* log2 of a positive number: chords between 65 points of the curve. */
static int32_t log2_of(const mcp_mfcc_params *p, uint64_t value)
{
    const int32_t whole = bit_length(value) - 1;
    /* The 21 bits behind the leading one: 6 choose the chord, 15 the place on it. */
    const uint32_t behind =
        (uint32_t)(whole > 21 ? value >> (whole - 21) : value << (21 - whole)) & 0x1fffffU;
    const uint16_t *const chord = p->logs + (behind >> POINT);
    const int32_t rest = (int32_t)(behind & 0x7fffU);
    return (whole << POINT) + chord[0] + (((chord[1] - chord[0]) * rest + (1 << (POINT - 1))) >> POINT);
}

static int32_t largest_sample(const mcp_mfcc_params *p, const int16_t *audio)
{
    int32_t peak = 1;
    MCP_ROLLED
    for (int32_t i = 0; i < p->samples; i++) {
        const int32_t size = audio[i] < 0 ? -audio[i] : audio[i];
        peak = size > peak ? size : peak;
    }
    return peak;
}

/* A windowed frame as complex numbers of two samples each, in the order that the transform wants: the bits of
 * their places reversed. */
static void load(const mcp_mfcc_params *p, const int16_t *audio, int32_t gain, int32_t *z)
{
    const int32_t points = p->fft / 2;
    int32_t place = 0;
    MCP_ROLLED
    for (int32_t n = 0; n < points; n++) {
        int32_t bit = points / 2;
        for (int32_t k = 0; k < 2; k++) {
            const int32_t i = 2 * n + k;
            const int32_t product = i < p->frame ? audio[i] * (1 << gain) * p->window[i] : 0;
            z[2 * place + k] = (product + (1 << (POINT - FRACTION - 1))) >> (POINT - FRACTION);
        }
        while (bit > 0 && (place & bit) != 0) {
            place ^= bit;
            bit >>= 1;
        }
        place |= bit;
    }
}

/* Complex transform of fft / 2 points in place, radix 2, decimated in time. */
static void transform(const mcp_mfcc_params *p, int32_t *z)
{
    for (int32_t width = 1, step = p->fft / 2; step > 1; width *= 2, step /= 2) {
        for (int32_t k = 0; k < width; k++) {
            const int32_t sine = p->sines[k * step], cosine = p->sines[k * step + p->fft / 4];
            MCP_ROLLED
            for (int32_t i = k; i < p->fft / 2; i += 2 * width) {
                int32_t *const low = z + 2 * i, *const high = low + 2 * width;
                const int32_t re = times(high[0], cosine) + times(high[1], sine);
                const int32_t im = times(high[1], cosine) - times(high[0], sine);
                high[0] = low[0] - re;
                high[1] = low[1] - im;
                low[0] += re;
                low[1] += im;
            }
        }
    }
}

/* Squared magnitude of bin k of the real transform, from bins k (a) and fft / 2 - k (b) of the complex one.
 */
static MCP_APART uint64_t power(const mcp_mfcc_params *p, const int32_t a[2], const int32_t b[2], int32_t k)
{
    const int32_t sine = p->sines[k], cosine = p->sines[k + p->fft / 4];
    const int32_t odd_re = a[1] + b[1], odd_im = b[0] - a[0];
    const int32_t re = (a[0] + b[0] + times(odd_re, cosine) + times(odd_im, sine) + 1) >> 1;
    const int32_t im = (a[1] - b[1] + times(odd_im, cosine) - times(odd_re, sine) + 1) >> 1;
    return (uint64_t)((int64_t)re * re) + (uint64_t)((int64_t)im * im);
}

static void store(int32_t place[2], uint64_t value)
{
    place[0] = (int32_t)(uint32_t)value;
    place[1] = (int32_t)(uint32_t)(value >> 32);
}

static uint64_t stored(const int32_t place[2])
{
    return (uint32_t)place[0] | (uint64_t)(uint32_t)place[1] << 32;
}

/* Squared magnitudes of bins 0 to fft / 2 - 1 in place; returns the bits that any of them has. */
static uint64_t powers(const mcp_mfcc_params *p, int32_t *z)
{
    const int32_t points = p->fft / 2;
    uint64_t any = 0;
    for (int32_t k = 0; k <= points / 2; k++) {
        const int32_t other = k == 0 ? 0 : points - k;
        const uint64_t first = power(p, z + 2 * k, z + 2 * other, k);
        const uint64_t second = power(p, z + 2 * other, z + 2 * k, other);
        store(z + 2 * k, first);
        store(z + 2 * other, second);
        any |= first | second;
    }
    return any;
}

/* Logarithms of the filters' energies.  A bin lies between two corners: its weight goes to the filter that
 * begins at the lower one, the rest to the filter that ends at the upper one. */
static void filter(const mcp_mfcc_params *p, const int32_t *z, int32_t lost, int32_t offset, int32_t *levels)
{
    const uint16_t *weight = p->weights;
    uint64_t below = 0;
    for (int32_t corner = 0; corner <= p->mels; corner++) {
        uint64_t energy = below, begun = 0;
        MCP_ROLLED
        for (int32_t bin = p->edges[corner]; bin < p->edges[corner + 1]; bin++, weight++) {
            const uint32_t size = (uint32_t)(stored(z + 2 * bin) >> lost);
            begun += (uint64_t)size * *weight;
            energy += (uint64_t)size * ((1U << POINT) - *weight);
        }
        if (corner > 0) {
            const int32_t level = energy != 0 ? log2_of(p, energy) + offset : p->floor;
            levels[corner - 1] = level > p->floor ? level : p->floor;
        }
        below = begun;
    }
}

static void quantize(const mcp_mfcc_params *p, const int32_t *levels, int8_t *features)
{
    const int16_t *cosine = p->cosines;
    for (int32_t c = 0; c < p->coefficients; c++) {
        int32_t sum = 0;
        MCP_ROLLED
        for (int32_t m = 0; m < p->mels; m++) {
            sum += times(levels[m], *cosine++);
        }
        features[c] =
            mcp_requantize(sum - p->centres[c], p->multipliers[c], p->shifts[c], p->zero_point, -128, 127);
    }
}

void mcp_mfcc(const mcp_mfcc_params *p, const int16_t *audio, int8_t *features, int32_t *scratch)
{
    int32_t *const levels = scratch + p->fft;
    const int32_t peak = largest_sample(p, audio);
    const int32_t bits = bit_length((uint32_t)peak);
    const int32_t gain = bits < POINT ? POINT - bits : 0; /* a power of two, so that quiet clips keep bits */
    const int32_t reference = 2 * log2_of(p, (uint64_t)peak << gain);
    for (int32_t frame = 0; frame < p->frames; frame++) {
        int32_t length, lost;
        load(p, audio + frame * p->hop, gain, scratch);
        transform(p, scratch);
        length = bit_length(powers(p, scratch));
        lost = length > 32 ? length - 32 : 0; /* energies keep 32 bits */
        filter(p, scratch, lost, (lost - POINT - 2 * FRACTION) * (1 << POINT) - reference, levels);
        quantize(p, levels, features + frame * p->coefficients);
    }
}
