"""The provider's report on the command line and as a page."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from ponder.cli import _app
from ponder.ledger import Ledger
from ponder.serve.metering import report
from ponder.serve.metering_page import finding
from tests.serve.serving import key_file, serving, thinker
from tests.serve.test_metering import Asked, Spent, written

HOSTILE = "\u202e<script>alert(1)</script>"


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a server that was used by two keys."""
    folder: Path = tmp_path_factory.mktemp("served")
    path, keys = key_file(folder, alice="user", bob="user")
    with serving(folder, thinker(), keys=path) as served:
        body: Any = {"model": "ponder", "messages": [{"role": "user", "content": "What is 9 + 4?"}]}
        for name, effort in (("alice", "none"), ("alice", "high"), ("bob", "low")):
            body["reasoning_effort"] = effort
            served.client(keys[name]).chat.completions.create(**body)
    return folder / "ledger.sqlite"


class Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags, self.words, self.policy = list[str](), list[str](), ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        stated = dict(attrs)
        if stated.get("http-equiv") == "Content-Security-Policy":
            self.policy = stated["content"] or ""

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def page(path: Path) -> Texts:
    texts = Texts()
    texts.feed(path.read_text("utf-8"))
    return texts


def test_the_command_prints_what_the_ledger_holds(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _app.run(["serve", "report", "--ledger", str(ledger), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    with Ledger.open(ledger, write=False) as opened:
        same = report(opened, str(ledger)).to_json()
    same["ledger"]["at"], same["seconds"] = told["ledger"]["at"], told["seconds"]
    assert told == same
    assert [key["name"] for key in told["keys"]] == ["alice", "bob"]
    assert _app.run(["serve", "report", "--ledger", str(ledger)]) == 0
    shown = capsys.readouterr().out
    assert "2 keys made 3 requests" in shown
    assert "alice has" in shown
    assert "high" in shown


def test_options_before_the_word_report_hold_for_it(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _app.run(["serve", "--ledger", str(ledger), "--json", "report", "--until", "2020-01-01"]) == 0
    assert json.loads(capsys.readouterr().out)["total"]["requests"] == 0


def test_the_page_has_the_figures_and_no_script(ledger: Path, tmp_path: Path) -> None:
    pytest.importorskip("altair")
    out = tmp_path / "page.html"
    assert _app.run(["serve", "report", "--ledger", str(ledger), "--out", str(out)]) == 0
    texts = page(out)
    words = " ".join(texts.words)
    assert "2 keys made 3 requests" in words
    for word in ("alice", "bob", "high", "Herfindahl", "m"):
        assert word in words
    assert "script" not in texts.tags
    assert texts.policy.startswith("default-src 'none'; style-src 'sha256-")


def test_a_page_of_hostile_names_and_of_unknown_use(tmp_path: Path) -> None:
    pytest.importorskip("altair")
    from ponder.serve.metering_page import write_metering_page

    out = tmp_path / "page.html"
    requests = [
        Asked(0, HOSTILE, HOSTILE, [Spent(1, 10, 5, None)], "finished"),
        Asked(1, "b", None, [], None),
    ]
    with written(requests) as told:
        made = told()
        write_metering_page(made, out)
    texts = page(out)
    assert "script" not in texts.tags
    assert "\u202e" not in out.read_text("utf-8")
    assert "at least 15 tokens" in finding(made)
    assert "unknown FLOP" in finding(made)


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--since", "then"], "since"),
        (["--ledger", "/nowhere/l.sqlite"], "ledger"),
        (["--until", "-5"], "until"),
    ],
)
def test_what_cannot_be_reported_is_one_sentence(
    flags: list[str], word: str, ledger: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _app.run(["serve", "report", "--ledger", str(ledger), *flags]) == 2
    error = capsys.readouterr().err
    assert word in error.lower()
    assert "Traceback" not in error


def test_an_empty_report_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "l.sqlite"
    Ledger.open(place, write=True).close()
    assert _app.run(["serve", "report", "--ledger", str(place)]) == 0
    assert "No requests." in capsys.readouterr().out
