"""How many samples a problem are taken where problems have unequally many."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ponder.measure.stored import evenly


@given(st.lists(st.integers(1, 20), max_size=30))
def test_the_first_n_of_those_that_have_n_are_most_samples(sizes: list[int]) -> None:
    used = {n: n * sum(size >= n for size in sizes) for n in range(1, 21)}
    n = evenly(sizes)
    assert n == max((n for n in sizes if used[n] == max(used.values())), default=0)


def test_many_problems_of_many_sizes_take_no_time() -> None:
    assert evenly(range(1, 200_001)) == 100_001
