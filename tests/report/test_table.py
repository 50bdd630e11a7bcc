from __future__ import annotations

import io
from dataclasses import replace

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


def test_six_tasks_chosen_by_two_scorers_fit_eighty_columns(build_measurement):
    measured = build_measurement(tasks=6)
    text = _text(measured, 80)
    assert "…" not in text
    for whole in ("guess", "direct", "vote", "best", "coverage", "tokens", "countdown"):
        assert whole in text
    assert "Column best chooses by likelihood, on countdown by checks." in text
    lines = text.splitlines()
    row = next(line for line in lines if line.lstrip().startswith("countdown")).split()
    last = measured.tasks[-1].curves[2].points[-1]
    assert row[6] == f"{100 * last.accuracy:.0f}"


def test_two_scorers_on_one_task_fit_eighty_columns(build_measurement):
    measured = build_measurement(tasks=6)
    task = measured.tasks[-1]
    both = (*task.curves, replace(task.curves[2], strategy="best by likelihood"))
    text = _text(replace(measured, tasks=(*measured.tasks[:-1], replace(task, curves=both))), 80)
    assert "…" not in text
    for whole in ("guess", "likelihood", "checks", "coverage", "tokens", "countdown"):
        assert whole in text


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


def test_more_strategies_than_fit_become_lines(build_measurement):
    measured = build_measurement(tasks=2)
    plain = next(curve for curve in measured.tasks[0].curves if curve.strategy == "vote")
    many = tuple(replace(plain, strategy=f"way_{i}") for i in range(7))
    wide = replace(measured, tasks=tuple(replace(t, curves=(*many, *t.curves)) for t in measured.tasks))
    text = _text(wide, 100)
    assert all(text.count(f"way_{i} @") == 2 for i in range(7))
    assert text.count("32 problems") == 2
