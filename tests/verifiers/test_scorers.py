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


def test_checks_see_what_an_unfinished_path_can_still_lead_to() -> None:
    """The search tells the whole path so far; its finish says whether more will come."""
    question = load("countdown:steps=true", problems=1, seed=1000).problems[0].question
    question = replace(question, data={"checks": "countdown", "numbers": [3, 4, 5], "target": 17})
    texts = [" 3 * 4 = 12", " 3 + 4 = 7", " 3 * 4 = 13", " 3 * 4 = 12;\n12 + 5 = 17"]
    paths = tuple(Sample(text, finish="step") for text in texts)
    assert look(scorer("checks"), question, paths) == (0.75, 0.25, 0.0, 0.25)
    whole = tuple(replace(path, finish="stop") for path in paths)
    assert look(scorer("checks"), question, whole) == (0.5, 0.5, 0.0, 1.0)


def test_an_unknown_scorer_is_named() -> None:
    with pytest.raises(UnknownName, match="Unknown scorer 'likelyhood': did you mean likelihood"):
        scorer("likelyhood")
