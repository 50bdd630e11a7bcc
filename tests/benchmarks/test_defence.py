"""The defence experiment: families that share nothing, detectors that see no key, and what they cost."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from benchmarks.defence import __main__ as defence
from benchmarks.defence import campaign, solving
from benchmarks.defence.analysis import Analysis, Series
from benchmarks.defence.errors import (
    FAMILIES,
    MODELS,
    Fold,
    chain_of,
    draw_folds,
    make_wrong,
    worked_off,
    written,
)
from benchmarks.defence.items import CLEAN, TASK, Items, Written, attacks_of, draw_items, problems_of
from benchmarks.defence.reading import Reader, Sight
from benchmarks.defence.solving import Solved, solve, suspicions, values_of
from hypothesis import given
from hypothesis import strategies as st

from ponder.core import Output, Shape
from ponder.flop import decode_flop, prefill_flop
from ponder.laws.detection import read_detector
from ponder.train.counted import count_flop
from ponder.train.models import VOCABULARY, open_checkpoint

LADDER = Path(__file__).parents[2] / "benchmarks" / "results" / "ladder" / "checkpoints"
SMALL, OTHER = "8k-steps-random-1/6", "8k-steps-random-0/6"
EXPRESSIONS = [each.question.text for each in problems_of(3, 40, 0)[0]]

families = st.sampled_from(sorted(FAMILIES))
seeds = st.integers(0, 10_000)


def read_steps(steps: tuple[str, ...]) -> list[tuple[int, str, int, int]]:
    found = [re.fullmatch(r"(\d+)([-+*])(\d)=(\d+)", step) for step in steps]
    return [(int(m[1]), m[2], int(m[3]), int(m[4])) for m in found if m]


# ---------------------------------------------------------------- errors


@given(families, st.sampled_from(EXPRESSIONS), seeds)
def test_a_wrong_solution_reads_as_one_and_ends_wrong(family: str, expression: str, seed: int) -> None:
    steps = make_wrong(family, Random(seed), expression)
    if steps is None:
        return
    chain = chain_of(expression)
    assert len(read_steps(steps)) == len(steps)
    assert read_steps(steps)[-1][3] != worked_off(chain.first, chain.operations)[-1][3]


@given(families, st.sampled_from(EXPRESSIONS), seeds)
def test_each_family_breaks_the_one_thing_that_it_is_named_for(
    family: str, expression: str, seed: int
) -> None:
    wrong = make_wrong(family, Random(seed), expression)
    if wrong is None:
        return
    chain, steps = chain_of(expression), read_steps(wrong)
    false = sum(worked_off(a, [(operator, n)])[0][3] != result for a, operator, n, result in steps)
    loose = sum(step[0] != before[3] for before, step in pairwise(steps))
    done = [(operator, n) for _, operator, n, _ in steps]
    asked = list(chain.operations)
    assert (false, loose) == {"slip": (1, 0), "carry": (0, 1)}.get(family, (0, 0))
    assert len(done) - len(asked) == {"dropped": -1, "repeated": 1}.get(family, 0)
    changed = [(a, b) for a, b in zip(asked, done, strict=False) if a != b]
    if family in ("slip", "carry"):
        assert not changed
    elif family in ("operand", "operator"):
        ((before, after),) = changed
        same = 0 if family == "operand" else 1
        assert before[same] == after[same]
    elif family == "order":
        assert len(changed) == 2
        assert sorted(done) == sorted(asked)


def test_a_sum_has_no_order_to_get_wrong() -> None:
    assert make_wrong("order", Random(0), "1+2+3+4") is None


# ---------------------------------------------------------------- who knows which


@given(seeds, st.integers(1, len(FAMILIES)))
def test_a_fold_knows_all_families_but_the_one_that_attacks(seed: int, count: int) -> None:
    *folds, models = draw_folds(seed, count)
    assert len({fold.held_out for fold in folds}) == len(folds) == count
    for fold in folds:
        assert {fold.held_out, *fold.known} == set(FAMILIES)
        assert fold.held_out not in fold.known
    assert models == Fold(MODELS, tuple(sorted(FAMILIES)))


def test_what_is_held_out_is_drawn_from_the_seed() -> None:
    assert draw_folds(5, 2) == draw_folds(5, 2)
    assert {draw_folds(seed, 1)[0].held_out for seed in range(60)} == set(FAMILIES)


def test_a_fold_that_knows_what_attacks_is_refused() -> None:
    with pytest.raises(ValueError, match="slip is held out and known"):
        Fold("slip", ("slip", "order"))


def made_items(models: tuple[Written, ...] = ()) -> Items:
    clean, attacked = problems_of(2, 12, 8)
    return draw_items(2, clean, attacked, known=6, models=models)


def test_clean_and_attacked_problems_are_different_ones() -> None:
    items = made_items()
    clean, attacked = ({each.sight.prompt for each in some} for some in (items.clean, items.right))
    assert not clean & attacked
    assert {each.sight.prompt for each in items.known} <= clean
    assert {each.sight.prompt for each in items.wrong} <= attacked


def test_no_attacker_is_a_detector_and_who_chooses_is_neither() -> None:
    detectors = {*campaign.SOLVERS, *(name for some in campaign.READERS.values() for name in some)}
    attackers = set(campaign.ATTACKERS.values())
    assert not detectors & attackers
    assert campaign.LOOKS not in detectors | attackers
    for name in detectors | attackers | {campaign.LOOKS}:
        assert (LADDER / name / "config.json").is_file()


def series(told: dict[str, np.ndarray[Any, Any]]) -> Series:
    return Series("made", "made", ("one",), np.array([1.0]), told)


def test_the_rule_is_chosen_by_known_families_on_other_problems() -> None:
    """One rule sees the held-out family and what is attacked, the other the known families alone."""
    items, folds = made_items(), draw_folds(0, 3)
    kinds = np.array([each.kind for each in items.all])
    attacked = np.arange(len(kinds)) >= len(items.clean) + len(items.known)
    noise = np.random.default_rng(0).random(len(kinds)) / 10
    for fold in folds[:3]:
        cheats = noise + ((kinds == fold.held_out) | (attacked & (kinds != CLEAN)))
        honest = noise + (np.isin(kinds, fold.known) & ~attacked)
        told = series({"cheats": cheats[:, None], "honest": honest[:, None]})
        assert Analysis(items, folds, 0).rule(told, fold) == "honest"


def test_thresholds_come_from_clean_items_and_attacks_from_the_held_out_family() -> None:
    items, folds = made_items((Written(0, "8k best", Sight("1+1:", ("1+1=3",))),)), draw_folds(0, 7)
    numbers = np.arange(len(items.all), dtype=np.float64)
    analysis = Analysis(items, folds, 0)
    for fold in folds:
        found = analysis.inspected(series({"number": numbers[:, None]}), fold, attacks_of(items, fold))
        assert found is not None
        assert found.clean[:, 0].tolist() == list(range(len(items.clean)))
        told = [items.all[int(number)] for number in found.attacked[:, 0]]
        assert {each.kind for each in told} == ({"8k best"} if fold.held_out == MODELS else {fold.held_out})
        assert [each.problem for each in told] == found.owner.tolist()
        assert all(number >= len(items.all) - len(items.wrong) for number in found.attacked[:, 0])


# ---------------------------------------------------------------- detectors


def right(prompt: str) -> Sight:
    chain = chain_of(prompt[:-1])
    return Sight(prompt, written(worked_off(chain.first, chain.operations)))


SIGHTS = [right(f"{expression}:") for expression in EXPRESSIONS[:3]] + [right("7+5-3*2:")]


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(LADDER / SMALL)


def test_a_solution_is_read_as_the_model_alone_would_read_it(reader: Reader) -> None:
    import torch

    model, told = open_checkpoint(LADDER / SMALL).model, reader.read(SIGHTS)
    for at, sight in enumerate(SIGHTS):
        reply = "\n".join(sight.steps) + "."
        ids = torch.tensor([[VOCABULARY[c] for c in sight.prompt + reply]])
        with torch.inference_mode():
            logs = torch.log_softmax(model(input_ids=ids).logits[0].double(), dim=-1)
        places = range(len(sight.prompt), ids.shape[1])
        surprise = [-float(logs[place - 1, ids[0, place]]) for place in places]
        assert told.suspicion["whole"][at] == pytest.approx(sum(surprise), rel=1e-4)
        assert told.suspicion["worst character"][at] == pytest.approx(max(surprise), rel=1e-4)
        ends = np.cumsum([len(piece) for piece in sight.pieces])
        steps = [sum(part) for part in np.split(np.array(surprise), ends[:-1])]
        assert told.suspicion["worst step"][at] == pytest.approx(max(steps), rel=1e-4)


def test_reading_costs_what_a_causal_pass_needs(reader: Reader) -> None:
    """PyTorch counts the square of attention and all logits, which is somewhat more."""
    import torch

    model, told = open_checkpoint(LADDER / SMALL).model, reader.read(SIGHTS[:1])
    length = len(SIGHTS[0].prompt) + sum(map(len, SIGHTS[0].pieces)) - 1
    _, counted = count_flop(lambda: model(input_ids=torch.zeros((1, length), dtype=torch.long)))
    assert 0.75 * counted < told.flop[0] < counted


@pytest.mark.parametrize(
    ("steps", "values"),
    [
        (("3+4=7", "7-2=5"), [7, 5, -1]),
        (("3+4=7", "7-2", "x=1", "1=1"), [7, -1, 1]),
        (("=" + "9" * 40,), [-1, -1, -1]),
    ],
)
def test_values_are_read_from_whatever_is_written(steps: tuple[str, ...], values: list[int]) -> None:
    assert values_of(steps, 3) == values


SHAPE = Shape(layers=2, d_model=16, heads=2, kv_heads=2, d_head=8, d_ff=48, vocab=54, tied=True)


class Fixed:
    """Draws what it was told to."""

    texts = (("7+5=12\n12-3=9", 13), ("7+5=11\n11-3=8", 20), ("7+5=12", 7))

    def __init__(self, folder: Path, device: str) -> None:
        self.model = SimpleNamespace(shape=SHAPE)

    def draw(self, problems: Any, n: int, **_: Any) -> Any:
        for at in range(len(problems)):
            yield at, [Output(text, "stop", tokens=tokens) for text, tokens in self.texts[:n]]

    def prompt_tokens(self, problem: Any) -> int:
        return 6

    def __enter__(self) -> Fixed:
        return self

    def __exit__(self, *_: object) -> None: ...


def test_every_solution_is_paid_for_and_the_question_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solving, "Drawer", Fixed)
    found = solve(Path(), problems_of(0, 2, 0)[0], 3, seed=0, width=2)
    spent = prefill_flop(SHAPE, 6) + np.cumsum([decode_flop(SHAPE, 6, tokens) for _, tokens in Fixed.texts])
    assert found.flop.tolist() == [spent.tolist()] * 2
    assert found.values[0].tolist() == [[12, 9], [11, 8], [12, -1]]
    assert found.last[0].tolist() == [9, 8, 12]


def test_suspicion_is_the_share_that_comes_to_something_else() -> None:
    solved = Solved(np.array([[[12, 9], [11, 8], [12, -1]]]), np.array([[9, 8, 12]]), np.zeros((1, 3)))
    sights = [Sight("7+5-3:", ("7+5=12", "12-3=9")), Sight("7+5-3:", ("7+5=12",))]
    told = suspicions(solved, [0, 0], sights, 3)
    assert told["answer"] == pytest.approx([2 / 3, 2 / 3])
    assert told["steps"] == pytest.approx([(1 / 3 + 2 / 3) / 2, 1 / 3])
    assert told["worst step"] == pytest.approx([2 / 3, 1 / 3])
    assert suspicions(solved, [0], sights[:1], 1)["answer"] == pytest.approx([0.0])


def test_no_key_reaches_a_solver() -> None:
    asked = problems_of(4, 2, 0)[0]
    blind = [replace(problem, key="0") for problem in asked]
    found = [solve(LADDER / SMALL, some, 2, seed=0, width=7) for some in (asked, blind)]
    assert [problem.key for problem in asked] != ["0", "0"]
    assert found[0].values.tolist() == found[1].values.tolist()
    assert (found[0].values[:, :, 0] >= 0).any()


# ---------------------------------------------------------------- the whole


def test_a_campaign_from_start_to_end_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(campaign, "ATTACKERS", {"8k": OTHER})
    monkeypatch.setattr(campaign, "LOOKS", OTHER)
    monkeypatch.setattr(campaign, "READERS", {"read": (SMALL,)})
    monkeypatch.setattr(defence, "READERS", {"read": (SMALL,)})
    monkeypatch.setattr(defence, "SOLVERS", ("28k-steps-random-0/5",))
    words = ["--rehearse", "--only", "solve", "--only", "read", "--place", str(tmp_path / "kept")]
    words += ["--out", str(tmp_path), "--seed", "11"]
    results = []
    for _ in range(2):
        defence.main(words)
        results.append(json.loads((tmp_path / "defence.json").read_text("utf-8")))
    first, again = results
    assert first == again
    assert capsys.readouterr().out.count("seed 11") == 2
    assert first["seed"] == 11
    assert first["held_out"] == [fold.held_out for fold in draw_folds(11, 2)]
    assert first["task"] == TASK
    assert first["calculator"] == {"caught": 1.0, "false_alarms": 0.0}
    solved, read = first["detectors"]
    assert [len(each["flop"]) for each in (solved, read)] == [4, 1]
    assert solved["flop"] == sorted(solved["flop"])
    assert solved["held_out"]["points"][-1]["value"] > solved["held_out"]["points"][0]["value"]
    assert "per_doubling" in solved["held_out"]
    assert "per_doubling" not in read["held_out"]
    law = read_detector(tmp_path / "defence.json")
    assert law.least == pytest.approx(solved["flop"][0], rel=1e-4)
    assert (tmp_path / "defence.svg").read_text("utf-8").startswith("<svg")
