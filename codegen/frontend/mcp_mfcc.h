/* From audio to a network's input: mel-frequency cepstral coefficients in integers. */
#ifndef MCP_MFCC_H
#define MCP_MFCC_H

#include <stdint.h>

/* All tables have 15 bits behind the point. */
typedef struct {
    int32_t samples;
    int32_t frame; /* samples of a window, even, at most fft */
    int32_t hop;
    int32_t frames;
    int32_t fft; /* a power of two */
    int32_t mels;
    int32_t coefficients;
    int32_t floor;           /* smallest logarithm of an energy */
    const int16_t *window;   /* frame */
    const int16_t *sines;    /* 3/4 fft + 1: sin(2 pi k / fft); the cosine stands fft / 4 further on */
    const int16_t *edges;    /* mels + 2: the first bin at or above each corner of the filters */
    const uint16_t *weights; /* what each bin from edges[0] on gives to the filter that begins below it */
    const uint16_t *logs;    /* 65: log2(1 + k / 64) */
    const int16_t *cosines;  /* coefficients x mels */
    const int32_t *centres;  /* of each coefficient: what becomes the zero point */
    const int32_t *multipliers;
    const int32_t *shifts;
    int32_t zero_point;
} mcp_mfcc_params;

/* audio: samples; features: frames x coefficients; scratch: fft + mels words. */
void mcp_mfcc(const mcp_mfcc_params *p, const int16_t *audio, int8_t *features, int32_t *scratch);

#endif
