"""Scorers: they see samples, never a key, and say None where they cannot tell."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ponder.core import Sample
from ponder.errors import UnknownName
from ponder.tasks import load, question_from_text
from ponder.verifiers import look, scorer


def test_likelihood_is_the_sum_and_unknown_stays_unknown() -> None:
    samples = (Sample("a", logprob=-1.5, tokens=3), Sample("b"), Sample("c", logprob=0.0))
    assert look(scorer("likelihood"), question_from_text("q"), samples) == (-1.5, None, 0.0)


def test_checks_order_solved_legal_illegal_by_the_question_alone() -> None:
    problem = load("countdown", problems=1, seed=1000).problems[0]
    legal = str(problem.question.data["numbers"][0])
    texts = [f" {problem.key} = {problem.question.data['target']}", f" {legal}", " 98 + 1", ""]
    samples = tuple(Sample(text) for text in texts)
    assert look(scorer("checks"), problem.question, samples) == (1.0, 0.5, 0.0, 0.0)
    plain = replace(problem.question, data={})
    assert look(scorer("checks"), plain, samples) == (None,) * 4


def test_an_unknown_scorer_is_named() -> None:
    with pytest.raises(UnknownName, match="Unknown scorer 'likelyhood': did you mean likelihood"):
        scorer("likelyhood")
