"""Arenas spread over several banks of memory."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mcuprune.plan.memory import Buffer, Problem, Sharing, pack


@st.composite
def problems(draw) -> Problem:
    """A chain of buffers, some of which may overwrite their input, and two boundaries."""
    count = draw(st.integers(2, 7))
    sizes = [4 * draw(st.integers(1, 12)) for _ in range(count)]
    buffers = tuple(Buffer(f"b{i}", size, max(i - 1, 0), i) for i, size in enumerate(sizes))
    sharings = tuple(
        Sharing(i + 1, i, 4 * draw(st.integers(0, 3))) for i in range(count - 1) if draw(st.booleans())
    )
    largest = max(sizes)
    first = draw(st.integers(largest // 4, 2 * largest // 4)) * 4
    boundaries = (first, first + 4 * draw(st.integers(1, 16)))
    return Problem(buffers, sharings, 0, boundaries, frozenset({0, count - 1}))


@settings(max_examples=150, deadline=None)
@given(problems())
def test_nothing_crosses_a_boundary_and_ends_stay_in_the_first_bank(problem: Problem) -> None:
    offsets = pack(problem, 200)
    for index, (offset, buffer) in enumerate(zip(offsets, problem.buffers, strict=True)):
        end = offset + buffer.bytes
        assert not any(offset < boundary < end for boundary in problem.boundaries)
        if index in problem.first_bank and problem.total(offsets) < 1 << 30:
            assert end <= problem.boundaries[0]
    shared = {(rule.output, rule.input): rule.distance for rule in problem.sharings}
    for i, (a, first) in enumerate(zip(offsets, problem.buffers, strict=True)):
        for j in range(i + 1, len(offsets)):
            b, second = offsets[j], problem.buffers[j]
            if first.last < second.first:
                continue
            apart = a + first.bytes <= b or b + second.bytes <= a
            assert apart or ((j, i) in shared and b <= a - shared[j, i])
    reached = sum(problem.reach(offsets, bank) for bank in range(3))
    if problem.total(offsets) < 1 << 30:
        assert reached <= problem.total(offsets)
