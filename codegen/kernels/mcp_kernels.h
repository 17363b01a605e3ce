/* mcuprune kernels: int8 operators with the integer arithmetic of TensorFlow Lite Micro (double rounding),
 * and operators on int16 activations and int8 weights (_s16), whose zero points are 0. */
#ifndef MCP_KERNELS_H
#define MCP_KERNELS_H

#include <stdint.h>

/* Convolution: weight (out_c, kernel_h, kernel_w, in_c), or packed as the kernel asks.
 * Depthwise:   weight (kernel_h, kernel_w, out_c), output channel c reads input channel c / (out_c / in_c).
 */
typedef struct {
    int16_t in_h, in_w, in_c;
    int16_t out_h, out_w, out_c;
    uint8_t kernel_h, kernel_w;
    uint8_t stride_h, stride_w;
    uint8_t dilation_h, dilation_w;
    uint8_t pad_top, pad_left;
    int16_t input_offset;  /* minus the input's zero point */
    int16_t output_offset; /* the output's zero point */
    int16_t clamp_min, clamp_max;
    const int8_t *weight;      /* as the kernel's file says; of some the stream of all four (mcp_pairs.h) */
    const int32_t *bias;       /* (out_c); _shared: bias << 6 | shift & 63 */
    const int32_t *multiplier; /* (out_c), Q31: 2^30 or more, or 0 with shift 0; _shared: one for all */
    const int8_t *shift;       /* (out_c), -31..30, left if positive; _shared: unused */
} mcp_conv2d;

/* Fully connected: weight (out_c, in_c); per_channel 0: one multiplier and shift for all outputs.  _shared
 * as in mcp_conv2d. */
typedef struct {
    int32_t in_c, out_c;
    int16_t input_offset;
    int16_t clamp_min, clamp_max;
    int8_t output_offset;
    uint8_t per_channel;
    const int8_t *weight;
    const int32_t *bias;
    const int32_t *multiplier;
    const int8_t *shift;
} mcp_fully_connected;

/* Maximum and average pooling. */
typedef struct {
    int16_t channels;
    int16_t in_h, in_w;
    int16_t out_h, out_w;
    uint8_t kernel_h, kernel_w;
    uint8_t stride_h, stride_w;
    uint8_t pad_top, pad_left;
    int16_t clamp_min, clamp_max;
} mcp_pool2d;

/* One operand of an elementwise operation: strides in elements, 0 where it is broadcast. */
typedef struct {
    int32_t stride_hw, stride_c;
    int32_t offset;
    int32_t multiplier;
    int32_t shift;
} mcp_operand;

/* Two tensors of hw x channels, either operand broadcast through zero strides.  Neighbouring axes over which
 * both operands go on alike count as one. */
typedef struct {
    int32_t hw, channels;
    mcp_operand a, b; /* multiplier and shift unused by the product */
    int32_t output_offset;
    int32_t multiplier, shift;
    int16_t clamp_min, clamp_max;
} mcp_elementwise;

/* The elements of a reduction: outer x inner outputs, each made of rows x run inputs; strides in elements. */
typedef struct {
    int32_t outer, inner, rows, run;
    int32_t outer_stride, inner_stride, row_stride, run_stride;
} mcp_reduction;

/* Mean or sum: bias is minus the input's zero point times the number of summands. */
typedef struct {
    mcp_reduction walk;
    int32_t bias;
    int32_t multiplier, shift;
    int32_t output_offset;
} mcp_reduce_mean;

/* Output element (i, j, k, n) is input element start + i * stride0 + j * stride1 + k * stride2 + n * stride3.
 */
typedef struct {
    int32_t start;
    int32_t count0, count1, count2, count3;
    int32_t stride0, stride1, stride2, stride3;
} mcp_rearrange;

/* Output pixel (y, x) is the input's pixel (row[y], column[x]). */
typedef struct {
    int32_t channels, row_stride;
    int16_t out_h, out_w;
    const int16_t *row;    /* (out_h) */
    const int16_t *column; /* (out_w) */
} mcp_take;

/* Bilinear interpolation: output position p lies at p * step + half, in 1/1024 of an input pixel. */
typedef struct {
    int32_t channels;
    int32_t step_h, step_w, half_h, half_w;
    int16_t in_h, in_w, out_h, out_w;
} mcp_resize_bilinear;

/* Largest value, or the smallest. */
typedef struct {
    mcp_reduction walk;
    int32_t smallest;
} mcp_reduce_extreme;

/* One input of a concatenation: copies hw rows of in_c channels to channel offset of rows of out_c channels.
 */
typedef struct {
    int32_t hw;
    int32_t in_c, out_c, offset;
} mcp_concat;

/* Spatial padding with a constant. */
typedef struct {
    int32_t channels;
    int16_t in_h, in_w;
    int16_t pad_top, pad_left, pad_bottom, pad_right;
    int8_t value;
} mcp_pad;

/* Any function of one int8 value: table[x + 128]. */
typedef struct {
    int32_t elements;
    const int8_t *table; /* (256) */
} mcp_lookup;

/* From one scale to another; input_offset is minus the zero point of the input. */
typedef struct {
    int32_t elements;
    int16_t input_offset, output_offset;
    int32_t multiplier, shift;
} mcp_quantized;

/* Bytes to copy. */
typedef struct {
    int32_t bytes;
} mcp_copied;

/* Long short-term memory.  The first axis of its arrays is the gate: input, forget, cell, output.  Scales are
 * those of the sums over the input (4), over the hidden state (4), then of forget gate times cell, of input
 * gate times cell gate, of output gate times the tanh of the cell.  The state is a cell for each unit, then
 * the hidden state in bytes. */
typedef struct {
    int32_t steps;
    int16_t in_c, units;
    int16_t output_offset, cell_clip;
    int8_t tanh_multiplier, tanh_shift;
    const int8_t *weight;          /* (4, units, in_c) */
    const int8_t *recurrent;       /* (4, units, units) */
    const int32_t *bias;           /* (4, units), holds the input offset */
    const int32_t *recurrent_bias; /* (4, units), holds the hidden state's offset */
    const int32_t *multiplier;     /* (11) */
    const int8_t *shift;           /* (11) */
} mcp_lstm;

/* Rank filters for each unit, over features and then over the last memory results. */
typedef struct {
    int32_t in_c, units;
    int16_t rank, memory;
    const int8_t *weight;        /* (units * rank, in_c) */
    const int32_t *feature_bias; /* (units * rank), holds the input offset */
    const void *time;            /* (units * rank, memory), of the state's type */
    const int32_t *bias;         /* (units) */
    int32_t feature_multiplier, multiplier;
    int8_t feature_shift, shift;
    int16_t output_offset;
} mcp_svdf;

/* Softmax over the last axis; output scale 1/256, zero point -128. */
typedef struct {
    int32_t rows, channels;
    int32_t multiplier;
    int32_t shift;
    int32_t diff_min;
} mcp_softmax;

/* Its logarithm; output scale 1/16, zero point 127.  The reverse scaling takes Q5.26 back to the input. */
typedef struct {
    int32_t rows, channels;
    int32_t multiplier;
    int32_t shift;
    int32_t reverse_multiplier, reverse_shift;
    int32_t diff_min;
} mcp_log_softmax;

/* Windowed and fully connected kernels take scratch, 4-byte aligned; NULL where they need none. */
void mcp_conv2d_s8(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch);
void mcp_conv2d_shared_s8(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch);
void mcp_conv2d_1x1_s8(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch);
void mcp_conv2d_1x1_shared_s8(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch);
void mcp_depthwise_conv2d_s8(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch);
void mcp_depthwise_conv2d_shared_s8(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch);
void mcp_fully_connected_s8(const mcp_fully_connected *op, const int8_t *input, int8_t *output,
                            void *scratch);
void mcp_fully_connected_shared_s8(const mcp_fully_connected *op, const int8_t *input, int8_t *output,
                                   void *scratch);
void mcp_conv2d_s8_mve(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch);
void mcp_conv2d_1x1_s8_mve(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch);
void mcp_depthwise_conv2d_s8_mve(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch);
void mcp_fully_connected_s8_mve(const mcp_fully_connected *op, const int8_t *input, int8_t *output,
                                void *scratch);

/* Support of the mve convolutions: all channels of up to four pixels, whose inputs are contiguous. */
void mcp_rows_s8_mve(const mcp_conv2d *op, int32_t length, const int8_t *const *pixels, int32_t count,
                     int8_t *output);

void mcp_conv2d_s8_dsp(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch);
void mcp_conv2d_shared_s8_dsp(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch);
void mcp_conv2d_1x1_s8_dsp(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch);
void mcp_conv2d_1x1_shared_s8_dsp(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch);
void mcp_depthwise_conv2d_s8_dsp(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch);
void mcp_depthwise_conv2d_shared_s8_dsp(const mcp_conv2d *op, const int8_t *input, int8_t *output,
                                        void *scratch);
void mcp_depthwise_conv2d_3x3_s8_dsp(const mcp_conv2d *op, const int8_t *input, int8_t *output,
                                     void *scratch);
void mcp_depthwise_conv2d_3x3_shared_s8_dsp(const mcp_conv2d *op, const int8_t *input, int8_t *output,
                                            void *scratch);
void mcp_fully_connected_s8_dsp(const mcp_fully_connected *op, const int8_t *input, int8_t *output,
                                void *scratch);
void mcp_fully_connected_shared_s8_dsp(const mcp_fully_connected *op, const int8_t *input, int8_t *output,
                                       void *scratch);

/* In little code. */
void mcp_conv2d_small_s8_dsp(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch);
void mcp_conv2d_small_shared_s8_dsp(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch);
void mcp_depthwise_conv2d_small_s8_dsp(const mcp_conv2d *op, const int8_t *input, int8_t *output,
                                       void *scratch);
void mcp_depthwise_conv2d_small_shared_s8_dsp(const mcp_conv2d *op, const int8_t *input, int8_t *output,
                                              void *scratch);

void mcp_conv2d_3x3_s8_dsp(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch);
void mcp_conv2d_3x3_shared_s8_dsp(const mcp_conv2d *op, const int8_t *input, int8_t *output, void *scratch);

/* Support of the dsp convolutions: all channels of up to three gathered pixels, 2 * pairs inputs each; the
 * input has room for three. */
typedef void mcp_rows(const mcp_conv2d *op, int32_t pairs, const int16_t *input, int32_t pixels,
                      int8_t *output);
mcp_rows mcp_rows_s8_dsp, mcp_rows_shared_s8_dsp;

void mcp_max_pool2d_s8(const mcp_pool2d *op, const int8_t *input, int8_t *output);
void mcp_average_pool2d_s8(const mcp_pool2d *op, const int8_t *input, int8_t *output);
void mcp_average_pool2d_s8_mve(const mcp_pool2d *op, const int8_t *input, int8_t *output);
void mcp_max_pool2d_s8_dsp(const mcp_pool2d *op, const int8_t *input, int8_t *output);
void mcp_average_pool2d_s8_dsp(const mcp_pool2d *op, const int8_t *input, int8_t *output);
void mcp_concat_s8(const mcp_concat *op, const int8_t *input, int8_t *output);
void mcp_pad_s8(const mcp_pad *op, const int8_t *input, int8_t *output);
void mcp_lookup_s8(const mcp_lookup *op, const int8_t *input, int8_t *output);
void mcp_lstm_s8(const mcp_lstm *op, const int8_t *input, int16_t *state, int8_t *output);
void mcp_svdf_s8(const mcp_svdf *op, const int8_t *input, int16_t *state, int8_t *output);
void mcp_svdf_state8_s8(const mcp_svdf *op, const int8_t *input, int8_t *state, int8_t *output);

/* Support of the reset function of models with states. */
void mcp_fill(int8_t *output, int32_t bytes, int8_t value);

void mcp_copy(const mcp_copied *op, const int8_t *input, int8_t *output);
void mcp_log_softmax_s8(const mcp_log_softmax *op, const int8_t *input, int8_t *output);
void mcp_softmax_s8(const mcp_softmax *op, const int8_t *input, int8_t *output);

void mcp_add_s8(const mcp_elementwise *op, const int8_t *a, const int8_t *b, int8_t *output);
void mcp_add_s8_mve(const mcp_elementwise *op, const int8_t *a, const int8_t *b, int8_t *output);
void mcp_add_s8_dsp(const mcp_elementwise *op, const int8_t *a, const int8_t *b, int8_t *output);
void mcp_mul_s8(const mcp_elementwise *op, const int8_t *a, const int8_t *b, int8_t *output);
void mcp_div_s8(const mcp_elementwise *op, const int8_t *a, const int8_t *b, int8_t *output);
void mcp_sub_s8(const mcp_elementwise *op, const int8_t *a, const int8_t *b, int8_t *output);
void mcp_squared_difference_s8(const mcp_elementwise *op, const int8_t *a, const int8_t *b, int8_t *output);
void mcp_minimum_s8(const mcp_elementwise *op, const int8_t *a, const int8_t *b, int8_t *output);
void mcp_maximum_s8(const mcp_elementwise *op, const int8_t *a, const int8_t *b, int8_t *output);
void mcp_prelu_s8(const mcp_elementwise *op, const int8_t *a, const int8_t *b, int8_t *output);
void mcp_rearrange_s8(const mcp_rearrange *op, const int8_t *input, int8_t *output);
void mcp_take_s8(const mcp_take *op, const int8_t *input, int8_t *output);
void mcp_resize_bilinear_s8(const mcp_resize_bilinear *op, const int8_t *input, int8_t *output);
void mcp_reduce_mean_s8(const mcp_reduce_mean *op, const int8_t *input, int8_t *output);
void mcp_reduce_extreme_s8(const mcp_reduce_extreme *op, const int8_t *input, int8_t *output);

void mcp_quantize_s8_s16(const mcp_quantized *op, const int8_t *input, int16_t *output);
void mcp_quantize_s16_s8(const mcp_quantized *op, const int16_t *input, int8_t *output);
void mcp_quantize_s16(const mcp_quantized *op, const int16_t *input, int16_t *output);
void mcp_conv2d_s16(const mcp_conv2d *op, const int16_t *input, int16_t *output, void *scratch);
void mcp_depthwise_conv2d_s16(const mcp_conv2d *op, const int16_t *input, int16_t *output, void *scratch);
void mcp_fully_connected_s16(const mcp_fully_connected *op, const int16_t *input, int16_t *output,
                             void *scratch);

void mcp_add_s16(const mcp_elementwise *op, const int16_t *a, const int16_t *b, int16_t *output);
void mcp_sub_s16(const mcp_elementwise *op, const int16_t *a, const int16_t *b, int16_t *output);
void mcp_mul_s16(const mcp_elementwise *op, const int16_t *a, const int16_t *b, int16_t *output);
void mcp_max_pool2d_s16(const mcp_pool2d *op, const int16_t *input, int16_t *output);
void mcp_average_pool2d_s16(const mcp_pool2d *op, const int16_t *input, int16_t *output);
void mcp_logistic_s16(const mcp_quantized *op, const int16_t *input, int16_t *output);
void mcp_tanh_values_s16(const mcp_quantized *op, const int16_t *input, int16_t *output);

#endif
