"""The committed scenarios: each names every input of its calculator and has an outcome of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ponder.govern import calculator
from ponder.govern.scenario import load_yaml
from tests.govern.cases import outcome

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("name", ["buffer", "defend", "diffuse", "economy", "scale", "theft"])
def test_an_example_names_every_input_and_is_answered(name: str) -> None:
    path = EXAMPLES / f"{name}.yaml"
    text = path.read_text("utf-8")
    of = calculator(name)
    missing = [
        each.name
        for each in (*of.inputs, *of.choices)
        if f"\n{each.name}: " not in text.replace("\n# ", "\n")
    ]
    assert missing == []
    found = outcome(name, load_yaml(path))
    assert any(each.origin == "yours" for each in found.assumptions)
    first = found.results[0]
    assert first.median is not None
    assert np.isfinite(first.median)
