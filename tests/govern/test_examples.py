"""The committed scenarios: each names every input of its calculator and has an outcome of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ponder.govern import calculator, names
from ponder.govern.example import example
from ponder.govern.scenario import load, read
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
    found = outcome(name, load(of, path))
    assert any(each.origin == "yours" for each in found.assumptions)
    first = found.results[0]
    assert first.median is not None
    assert np.isfinite(first.median)


@pytest.mark.parametrize("name", names())
def test_every_default_of_a_written_scenario_may_be_used_as_it_is(name: str, tmp_path: Path) -> None:
    of = calculator(name)
    known = {each.name for each in (*of.inputs, *of.groups)}
    lines = []
    for line in example(of).splitlines():
        bare = line.removeprefix("# ")
        item = line.startswith("#   ") and "{" in line
        lines.append(bare if item or bare.partition(":")[0] in known else line)
    path = tmp_path / "all.yaml"
    path.write_text("\n".join(lines), "utf-8")
    document = load(of, path)
    given = [each.name for each in of.inputs if document.get(each.name) is not None]
    assert len(given) > len(of.inputs) / 2
    read(of, document)


@pytest.mark.parametrize("name", ["buffer", "defend", "diffuse", "economy", "scale", "theft"])
def test_a_comment_of_an_example_is_the_default_under_the_examples_own_choices(name: str) -> None:
    path, of = EXAMPLES / f"{name}.yaml", calculator(name)
    given = read(of, load(of, path)).values
    chosen = {each.name: str(given[each.name]) for each in of.choices if each.name in given}
    written, due = path.read_text("utf-8").splitlines(), example(of, chosen).splitlines()
    for each in of.inputs:
        if each.name not in given:
            (line,) = (line for line in due if line.startswith(f"# {each.name}:"))
            assert line in written
