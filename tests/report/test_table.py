from __future__ import annotations

import io

import pytest
from rich.console import Console

from ponder.report import table


def _text(measurement, width):
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=True, color_system=None).print(table.render(measurement))
    return out.getvalue()


def test_nothing_is_cut_on_eighty_columns(measurement):
    text = _text(measurement, 80)
    assert "…" not in text
    assert all(task.task in text for task in measurement.tasks)


@pytest.mark.parametrize("planted", [False, True])
def test_it_fits_a_hundred_columns_of_any_terminal(build_measurement, planted):
    lines = _text(build_measurement(planted=planted), 240).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 100
    assert "\x1b[31m" not in "".join(lines)


def test_it_says_the_same_numbers_and_marks_the_oracle(measurement):
    text = _text(measurement, 100)
    last = measurement.tasks[2].curves[1].points[-1]
    lines = text.splitlines()
    at = next(i for i, line in enumerate(lines) if line.lstrip().startswith("lcm"))
    assert f"{100 * last.accuracy:.0f}" in lines[at].split()
    assert f"{100 * last.low:.0f}–{100 * last.high:.0f}" in lines[at + 1].split()
    assert "coverage" in text
    assert "@32*" in text
    assert "oracle bound" in text


def test_unknown_costs_say_so(build_measurement):
    text = _text(build_measurement(tasks=1, tokens=False, flop=False), 100)
    assert "unknown FLOP" in text
    assert "dollars unknown" in text
