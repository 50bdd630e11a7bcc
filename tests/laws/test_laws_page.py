"""The page on laws prints what the commands print, and says in Python what Python says."""

from __future__ import annotations

import doctest
import re
import shlex
from pathlib import Path

import pytest

from ponder.cli import run

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "laws.md"
RECORDED = "benchmarks/results/ladder/recorded"  # the page's $R

BLOCKS = re.findall(
    r"^```\n\$ ponder ((?:.*\\\n)*.*)\n((?s:.*?))^```$", PAGE.read_text("utf-8"), re.MULTILINE
)
"""Each command of the page, and what it prints."""


def matching(shown: str) -> re.Pattern[str]:
    """What the page shows; a line of three dots stands for any lines."""
    lines = (r"(?:.*\n)*?" if line == "..." else re.escape(line) + "\n" for line in shown.splitlines())
    return re.compile("".join(lines))


# What is had from a whole ladder takes half a minute, and changes with `make laws`, which tries it.
CASES = [
    pytest.param(command, shown, id=verb, marks=[pytest.mark.campaign] * (verb in ("exchange", "worth")))
    for command, shown in BLOCKS
    for verb in command.split()[1:2]
]


@pytest.mark.parametrize(("command", "shown"), CASES)
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_page_shows_what_the_command_prints(
    command: str, shown: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("COLUMNS", "80")
    assert run(shlex.split(command.replace("\\\n", " ").replace("$R", RECORDED))) == 0
    printed = "".join(line.rstrip() + "\n" for line in capsys.readouterr().out.rstrip().splitlines())
    assert matching(shown).fullmatch(printed), printed


def test_every_verb_has_its_block() -> None:
    verbs = sorted(command.split()[1] for command, _ in BLOCKS)
    assert verbs == ["compute", "exchange", "fit", "forecast", "worth"]


def test_the_pages_example_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    found = doctest.testfile(str(PAGE), module_relative=False)
    assert found.attempted >= 6
    assert found.failed == 0
