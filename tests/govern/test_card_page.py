"""The card's page: whole, offline, without scripts, and nothing in it acts."""

from __future__ import annotations

import html
import math
import re
from pathlib import Path

import pytest

pytest.importorskip("altair")
pytest.importorskip("vl_convert")

from ponder.errors import InputError
from ponder.govern.card import Card
from ponder.report.card_chart import axis_of, curves_chart
from ponder.report.card_page import _strips, write_card_page
from ponder.report.card_words import counted, gain_cell, gain_reasons, headline
from ponder.report.govern_words import number
from tests.govern.cards import REPOSITORY

COMMITTED = REPOSITORY / "benchmarks" / "results" / "cards"


@pytest.fixture(scope="module", params=["smollm2", "448k-steps-random-0-5"])
def card(request: pytest.FixtureRequest) -> Card:
    return Card.model_validate_json((COMMITTED / f"{request.param}.json").read_text("utf-8"))


def page(card: Card, folder: Path) -> str:
    write_card_page(card, folder / "card.html")
    return (folder / "card.html").read_text("utf-8")


def test_it_shows_every_part(card: Card, tmp_path: Path) -> None:
    text = html.unescape(page(card, tmp_path))
    assert headline(card) in text
    assert str(card.identity.weights_sha256) in text
    for stage in card.training.stages:
        assert stage.flop is not None
        assert number(stage.flop.value) in text
    for rule in card.training.rules:
        assert rule.short in text
    for task in card.tasks:
        assert f"<bdi>{task.task}</bdi>" in text
    for effort in card.tasks[0].efforts:
        assert effort.usd is not None
        assert number(effort.usd.value) in text
    for each in card.assumptions:
        if each.origin != "measured":
            assert f"<b><bdi>{each.name}</bdi></b>" in text
            assert each.source is None or each.source in text
    for note in card.notes:
        assert note in text


def test_it_needs_nothing_from_elsewhere_and_runs_nothing(card: Card, tmp_path: Path) -> None:
    text = page(card, tmp_path)
    assert "<script" not in text
    assert "default-src 'none'; style-src 'sha256-" in html.unescape(text)
    assert "style=" not in text.replace("font-style=", "")
    addresses = set(re.findall(r"https?://[^\s\"'<]+", text))
    assert {each for each in addresses if "www.w3.org" not in each} == set()


def test_a_hostile_name_is_shown_and_does_nothing(card: Card, tmp_path: Path) -> None:
    bad = "<img src=x onerror=alert(1)>\u202e"
    task = card.tasks[0].model_copy(update={"task": bad, "gains_undefined": bad})
    assumed = [each.model_copy(update={"name": bad, "what": bad, "source": bad}) for each in card.assumptions]
    who = card.identity.model_copy(
        update={"name": bad, "title": bad, "precision": bad, "weights_sha256": bad}
    )
    made = card.made.model_copy(update={"source": bad, "recordings": {bad: bad}})
    update = {"identity": who, "made": made, "tasks": [task], "assumptions": assumed, "notes": [bad]}
    text = page(card.model_copy(update=update), tmp_path)
    assert "<img" not in text
    assert "\u202e" not in text
    assert "&lt;img src=x onerror=alert(1)&gt;" in text


def test_what_is_unknown_is_said(card: Card, tmp_path: Path) -> None:
    stages = [each.model_copy(update={"flop": None}) for each in card.training.stages]
    rules = [each.model_copy(update={"counted": [], "lower_end": True}) for each in card.training.rules]
    training = card.training.model_copy(update={"stages": stages, "rules": rules})
    efforts = [each.model_copy(update={"usd": None, "flop": None}) for each in card.tasks[0].efforts]
    task = card.tasks[0].model_copy(update={"efforts": efforts})
    who = card.identity.model_copy(update={"shape": None, "weights_sha256": None, "precision": None})
    update = {
        "training": training,
        "identity": who,
        "tasks": [task],
        "fleet": None,
        "fleet_unknown": "Why not.",
    }
    text = page(card.model_copy(update=update), tmp_path)
    assert text.count("unknown") >= len(rules) + len(stages) + 2 * len(efforts)
    assert "Fleet: Why not." in text
    assert "took unknown FLOP" in text


def test_the_headline_tells_the_price_and_the_rules_that_bind(card: Card) -> None:
    one, *_, all_votes = card.tasks[0].curves[0].measured
    assert one.flop is not None
    assert all_votes.flop is not None
    assert f"for {number(all_votes.flop / one.flop)} times the FLOP" in headline(card)
    over = [each.model_copy(update={"side": "over"}) for each in card.training.rules]
    told = headline(card.model_copy(update={"training": card.training.model_copy(update={"rules": over})}))
    assert "EU systemic risk" in told
    assert "EO 14110" not in told, "it was revoked"


def test_a_rules_strip_has_its_sum_and_line_on_one_scale(card: Card) -> None:
    rules = [each for each in card.training.rules if each.line is not None and each.counted]
    strips = {rule.rule: strip for rule, strip in zip(rules, _strips(rules), strict=True) if strip}
    places = [place for strip in strips.values() for place in strip.values()]
    assert (min(places), max(places)) == pytest.approx((0.0, 100.0))
    risk, general = strips["eu-systemic-risk"], strips["eu-gpai"]
    assert risk["sum"] == pytest.approx(general["sum"])
    (total,) = next(each for each in rules if each.rule == "eu-gpai").counted
    apart = (risk["line"] - general["line"]) / (general["line"] - general["sum"])
    assert apart == pytest.approx(2.0 / math.log10(1e23 / total.value)), "1e25 and 1e23"


def test_what_lies_beyond_the_draws_is_marked(card: Card, tmp_path: Path) -> None:
    assert page(card, tmp_path).count(">foretold</text>") == len(card.tasks)


def test_a_place_that_cannot_be_written_is_named(card: Card, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"out: .*card\.html cannot be written"):
        write_card_page(card, tmp_path / "file" / "card.html")


def test_the_axis_is_what_is_known(card: Card) -> None:
    task = card.tasks[0]
    assert axis_of(task) == "flop"
    for gone, axis in ((("flop",), "tokens"), (("flop", "tokens"), "samples")):
        blank = dict.fromkeys(gone)
        curves = [
            each.model_copy(
                update={
                    "measured": [place.model_copy(update=blank) for place in each.measured],
                    "told": [place.model_copy(update=blank) for place in each.told],
                }
            )
            for each in task.curves
        ]
        other = task.model_copy(update={"curves": curves})
        assert axis_of(other) == axis
        assert curves_chart(other, large=True).layer


def test_a_task_without_a_law_is_drawn_as_measured(card: Card, tmp_path: Path) -> None:
    curves = [
        each.model_copy(update={"law": None, "told": [], "undefined": "because"})
        for each in card.tasks[0].curves
    ]
    task = card.tasks[0].model_copy(update={"curves": curves})
    assert "No law: because" in page(card.model_copy(update={"tasks": [task]}), tmp_path)


def test_sums_and_gains_in_words(card: Card) -> None:
    rule = next(each for each in card.training.rules if each.side == "under")
    (known,) = rule.counted
    assert counted(rule) == number(known.value)
    assert counted(rule.model_copy(update={"lower_end": True})) == f"≥ {number(known.value)}"
    assert counted(rule.model_copy(update={"side": "not asked"})) == "–"
    reasons = gain_reasons(card)
    for each in (gained for task in card.tasks for gained in task.gains):
        said, beside = gain_cell(each, reasons)
        if each.value is None:
            assert (said, reasons[int(beside) - 1]) == ("undefined", each.undefined)
        else:
            assert said == f"{number(each.value)}×"
            assert ("no bound" in beside) == (each.high is None)
