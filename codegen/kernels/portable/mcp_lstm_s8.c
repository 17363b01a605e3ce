/* A sequence through a long short-term memory.  The hidden state of a step is its row of the output. */
#include "mcp_arithmetic.h"
#include "mcp_gates.h"
#include "mcp_kernels.h"

enum { INPUT_GATE, FORGET_GATE, CELL_GATE, OUTPUT_GATE, GATES, KEPT = 2 * GATES, ADDED, HIDDEN };

static int32_t scaled(const mcp_lstm *op, int32_t index, int32_t value)
{
    return mcp_scale(value, op->multiplier[index], op->shift[index]);
}

/* What enters the function of a gate: the input's part and the hidden state's, in units of 2^-12. */
static int32_t gate(const mcp_lstm *op, int32_t which, int32_t unit, const int8_t *input,
                    const int8_t *hidden)
{
    const int32_t row = which * op->units + unit;
    const int32_t now = mcp_dot_s8(op->weight + row * op->in_c, input, op->in_c, op->bias[row]);
    const int32_t before =
        mcp_dot_s8(op->recurrent + row * op->units, hidden, op->units, op->recurrent_bias[row]);
    return mcp_clamp_s16(mcp_clamp_s16(scaled(op, which, now)) +
                         mcp_clamp_s16(scaled(op, GATES + which, before)));
}

static int32_t next_cell(const mcp_lstm *op, int32_t unit, const int8_t *input, const int8_t *hidden,
                         int32_t cell)
{
    const int32_t taken = mcp_sigmoid_s16(gate(op, INPUT_GATE, unit, input, hidden), 3, 0);
    const int32_t held = mcp_sigmoid_s16(gate(op, FORGET_GATE, unit, input, hidden), 3, 0);
    const int32_t candidate = mcp_tanh_s16(gate(op, CELL_GATE, unit, input, hidden), 3, 0);
    const int32_t kept = mcp_clamp_s16(scaled(op, KEPT, held * cell));
    const int32_t added = mcp_clamp_s16(scaled(op, ADDED, taken * candidate));
    const int32_t total = mcp_clamp_s16(kept + added);
    if (op->cell_clip == 0) {
        return total;
    }
    return total < -op->cell_clip ? -op->cell_clip : total > op->cell_clip ? op->cell_clip : total;
}

void mcp_lstm_s8(const mcp_lstm *op, const int8_t *input, int16_t *state, int8_t *output)
{
    int16_t *const cell = state;
    int8_t *const hidden = (int8_t *)(state + op->units);
    const int8_t *before = hidden;
    MCP_ROLLED
    for (int32_t step = 0; step < op->steps; step++) {
        MCP_ROLLED
        for (int32_t unit = 0; unit < op->units; unit++) {
            int32_t active, open;
            cell[unit] = (int16_t)next_cell(op, unit, input, before, cell[unit]);
            active = mcp_tanh_s16(cell[unit], op->tanh_multiplier, op->tanh_shift);
            open = mcp_sigmoid_s16(gate(op, OUTPUT_GATE, unit, input, before), 3, 0);
            output[unit] = mcp_clamp(scaled(op, HIDDEN, open * active) + op->output_offset, -128, 127);
        }
        before = output;
        input += op->in_c;
        output += op->units;
    }
    MCP_ROLLED
    for (int32_t unit = 0; unit < op->units; unit++) {
        hidden[unit] = before[unit];
        MCP_KEEP_LOOP();
    }
}
