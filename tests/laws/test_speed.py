"""What laws may take, in processor seconds: a machine that does other things too must not fail this."""

from __future__ import annotations

import time

import numpy as np
import pytest
from tests.laws.populations import beta

from ponder.laws import fit
from ponder.laws.data import Ballot, Counts
from ponder.laws.draws import study_draws


def test_ten_thousand_refits_of_a_coverage_law_take_seconds() -> None:
    data = beta(np.random.default_rng(0), 0.3, 3.0, problems=500, draws=1000)
    began = time.process_time()
    found = fit(data, "beta-binomial", draws=10_000)
    assert time.process_time() - began < 5.0
    assert found.draws.shape == (10_000, 2)


@pytest.mark.slow
def test_a_bank_of_a_thousand_by_a_thousand_is_studied_in_seconds() -> None:
    rng = np.random.default_rng(0)
    right = rng.binomial(1000, rng.beta(0.3, 3.0, 1000)).astype(np.int64)
    wrong = [rng.multinomial(1000 - each, rng.dirichlet(np.full(40, 0.3))) for each in right]
    mark = np.arange(41) == 0
    ballots = tuple(Ballot(np.append(one, other), mark) for one, other in zip(right, wrong, strict=True))
    names = tuple(map(str, range(1000)))
    counts = Counts("made", "made", names, np.full(1000, 1000), right, ballots)
    began = time.process_time()
    study = study_draws(counts)
    assert time.process_time() - began < 10.0
    assert study.vote is not None
