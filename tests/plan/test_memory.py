from __future__ import annotations

from itertools import permutations, product

from hypothesis import given, settings
from hypothesis import strategies as st

from mcuprune.plan.memory import Buffer, Problem, Sharing, pack


def is_valid(problem: Problem, offsets: tuple[int, ...]) -> bool:
    """Every pair alive together is apart, or keeps its declared distance."""
    allowed = {(rule.output, rule.input): rule for rule in problem.sharings}

    def keeps(out: int, inp: int) -> bool:
        if (out, inp) not in allowed:
            return False
        rule, distance = allowed[out, inp], offsets[inp] - offsets[out]
        return distance == rule.distance if rule.exact else distance >= rule.distance

    for i, a in enumerate(problem.buffers):
        for j, b in enumerate(problem.buffers):
            if i >= j or not a.bytes or not b.bytes or a.first > b.last or b.first > a.last:
                continue
            apart = offsets[i] + a.bytes <= offsets[j] or offsets[j] + b.bytes <= offsets[i]
            if not apart and not keeps(i, j) and not keeps(j, i):
                return False
    return True


def brute_force(problem: Problem, unit: int) -> int:
    """The smallest arena over every assignment of offsets that are multiples of ``unit``."""
    for total in range(problem.lower_bound, 10_000, unit):
        ranges = [range(0, total - buffer.bytes + 1, unit) for buffer in problem.buffers]
        if any(is_valid(problem, offsets) for offsets in product(*ranges)):
            return total
    raise AssertionError("no placement found")


@st.composite
def problems(draw: st.DrawFn, max_buffers: int, sizes: st.SearchStrategy[int]) -> Problem:
    """A chain of steps, buffers alive over stretches of it, some outputs that may overwrite an input."""
    buffers = []
    for index in range(draw(st.integers(1, max_buffers))):
        first = draw(st.integers(0, 4))
        buffers.append(Buffer(str(index), 4 * draw(sizes), first, first + draw(st.integers(0, 3))))
    rules = st.one_of(
        st.tuples(st.integers(0, 12).map(lambda n: n // 4 * 4), st.just(False)), st.just((0, True))
    )
    sharings = tuple(
        Sharing(j, i, *draw(rules))
        for i, a in enumerate(buffers)
        for j, b in enumerate(buffers)
        if i != j and a.last == b.first and a.first < b.first and draw(st.booleans())
    )
    return Problem(tuple(buffers), sharings, max((b.bytes for b in buffers), default=0))


@settings(deadline=None, max_examples=150)
@given(problems(14, st.integers(0, 20)))
def test_placements_are_valid_and_aligned(problem: Problem) -> None:
    offsets = pack(problem, placement_limit=200)
    assert is_valid(problem, offsets)
    assert all(offset % 4 == 0 and offset >= 0 for offset in offsets)


@settings(deadline=None, max_examples=60)
@given(problems(4, st.integers(1, 4)))
def test_the_search_is_exact(problem: Problem) -> None:
    offsets = pack(problem, placement_limit=100_000)
    assert problem.total(offsets) == brute_force(problem, unit=4)


def test_the_search_beats_first_fit() -> None:
    """A placement that none of the first-fit orders finds."""
    lives = [(20, 4, 4), (12, 3, 4), (4, 2, 2), (8, 3, 3), (16, 1, 3)]
    buffers = tuple(Buffer(str(i), *life) for i, life in enumerate(lives))
    loads = [sum(b.bytes for b in buffers if b.first <= step <= b.last) for step in range(5)]
    problem = Problem(buffers, (), max(loads))
    assert problem.total(pack(problem, placement_limit=0)) > max(loads)
    assert problem.total(pack(problem)) == max(loads)


def test_input_order_of_equal_buffers_does_not_matter_for_the_size() -> None:
    lives = [(16, 0, 1), (8, 1, 2), (24, 2, 3), (8, 3, 3)]
    totals = set()
    for order in permutations(lives):
        problem = Problem(tuple(Buffer(str(i), *life) for i, life in enumerate(order)), (), 0)
        totals.add(problem.total(pack(problem)))
    assert totals == {32}


def test_output_overwrites_its_input_at_the_declared_distance() -> None:
    buffers = (Buffer("in", 32, 0, 1), Buffer("out", 24, 1, 2))
    problem = Problem(buffers, (Sharing(1, 0, 8),), 40)
    offsets = pack(problem)
    assert problem.total(offsets) == 40
    assert offsets[0] - offsets[1] >= 8


def test_no_buffers_take_no_memory() -> None:
    assert pack(Problem((), (), 0)) == ()


def test_output_takes_exactly_its_inputs_place() -> None:
    """Nothing may lie lower for the output, although the input has been lifted by its own scratch."""
    buffers = (
        Buffer("in", 32, 0, 1),
        Buffer("first", 16, 0, 0),
        Buffer("out", 32, 1, 2),
        Buffer("last", 8, 2, 2),
    )
    problem = Problem(buffers, (Sharing(2, 0, 0, exact=True),), 48)
    offsets = pack(problem)
    assert problem.total(offsets) == 48
    assert offsets[2] == offsets[0]


@settings(deadline=None, max_examples=40)
@given(problems(14, st.integers(0, 20)))
def test_more_placements_are_never_worse(problem: Problem) -> None:
    totals = [problem.total(pack(problem, placement_limit=limit)) for limit in (0, 300, 3000)]
    assert totals == sorted(totals, reverse=True)


def test_climbing_packs_a_long_chain_without_a_gap() -> None:
    """Every layer may overwrite its input and needs scratch; two of them are far larger than the others."""
    sizes = [400, 360, 1200, 800, 200, 160, 240, 80] + [120, 100] * 6
    buffers = [Buffer(f"x{step}", size, step, step + 1) for step, size in enumerate(sizes)]
    sharings = [
        Sharing(step, step - 1, max(16, sizes[step] - sizes[step - 1])) for step in range(1, len(sizes))
    ]
    buffers += [Buffer(f"scratch{step}", 40, step, step) for step in range(1, len(sizes))]
    bound = 1200 + 16 + 40
    problem = Problem(tuple(buffers), tuple(sharings), bound)
    offsets = pack(problem)
    assert is_valid(problem, offsets)
    assert problem.total(offsets) == bound < problem.total(pack(problem, placement_limit=0))
