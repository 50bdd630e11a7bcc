"""Searches over steps through the driver: Countdown, on an engine that writes down careless steps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ponder.engines.scripted import ScriptedEngine
from ponder.solve import solve
from ponder.strategies import plan
from ponder.tasks import load
from ponder.verifiers import scorer

SEARCHES = ("beam", "diverse_beam", "particles", "tree", "adaptive_tree")


def countdown_writer(request_prefix: str, position: int) -> str:
    """Every legal and illegal step a careless model might write after a prefix, one a position."""
    first = ("9 * 9 = 81", "3 + 4 = 7", "3 * 4 = 12", "3 * 4 = 13", "5 - 3 = 2", "4 + 5 = 9")
    second = ("12 + 3 = 15", "12 - 5 = 7", "12 + 5 = 17", "7 + 5 = 12", "2 * 4 = 8")
    if not request_prefix:
        return f" {first[position % len(first)]};\n"
    return f"{second[position % len(second)]}.\n\nProblem"


@pytest.mark.parametrize("name", SEARCHES)
async def test_a_search_solves_countdown_in_steps(name: str) -> None:
    question = load("countdown:steps=true", problems=1, seed=5).problems[0].question
    question = replace(question, data={"checks": "countdown", "numbers": [3, 4, 5], "target": 17})
    engine = ScriptedEngine(lambda request, position: countdown_writer(request.prefix, position))
    solution = await solve(
        question,
        plan(f"{name}:n=48" if name != "tree" else "tree:n=96"),
        engines={"solver": engine},
        scorers={"checks": scorer("checks")},
    )
    assert solution.answer.choice == "3 * 4 = 12; 5 + 12 = 17"
    assert solution.answer.text == " 3 * 4 = 12;\n12 + 5 = 17"
    voted = await solve(question, plan("vote:n=48"), engines={"solver": engine})
    assert voted.answer.choice != solution.answer.choice
