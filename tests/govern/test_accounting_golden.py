"""The worked examples of the EU guidelines, final and draft, and public model cards, from a file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import pytest

from ponder.govern.accounting.document import notes
from ponder.govern.accounting.stages import Attention, Estimate, by_architecture

from .lives import every, under, written


@dataclass(frozen=True)
class Worked:
    """What an example gives, its FLOP recomputed here by hand, and what each text of it prints."""

    name: str
    given: str
    exact: float
    printed: dict[str, float]


def _dense(parameters: str, tokens: str, epochs: str = "1") -> str:
    return f"{{stage: pretrain, parameters: {parameters}, tokens: {tokens}, epochs: {epochs}}}"


def _hours(hours: str, peak: str, utilisation: str) -> str:
    return f"{{stage: pretrain, chip_hours: {hours}, peak: {peak} TFLOP/s, utilisation: {utilisation}}}"


FINAL, OTHER, DRAFT = "guidelines, Annex A.3", "another text of Annex A.3", "consultation draft"

EXAMPLES = [
    Worked("A", _dense("3.8e9", "3.3e12"), 7.524e22, {FINAL: 7.5e22}),
    Worked("B", _hours("200_000", "300", "0.5"), 1.08e23, {FINAL: 1e23}),
    Worked("C", _dense("0.6e9", "36e12"), 1.296e23, {FINAL: 1.3e23}),
    Worked("D", _dense("1.54e9", "18e12"), 1.6632e23, {FINAL: 1.663e23, OTHER: 1.7e23}),
    Worked("E", _dense("1.7e9", "36e12"), 3.672e23, {FINAL: 3.7e23}),
    Worked("F", _dense("2.5e9", "12e12"), 1.8e23, {FINAL: 1.8e23}),
    Worked("G", _dense("2.6e9", "61e9", "164"), 1.560624e23, {OTHER: 1.6e23}),
    Worked("H", _hours("370_000", "989", "0.5"), 6.58674e23, {OTHER: 6.6e23}),
    Worked("draft A by chips", _hours("35_000", "300", "0.56"), 2.1168e22, {DRAFT: 2.1e22}),
    Worked("draft A by 6PD", _dense("1.1e9", "3e12"), 1.98e22, {DRAFT: 1.98e22}),
    Worked("draft B", _hours("4_830", "312", "0.56"), 3.0379e21, {DRAFT: 3e21}),
    Worked("draft diffusion", _hours("200_000", "300", "0.56"), 1.2096e23, {DRAFT: 1.2e23}),
]

# Printed values that are no rounding of the exact one: the text cut its digits off, or took 10 T tokens for
# 164 epochs of 61 G.
CUT = [
    Worked("D, cut", _dense("1.54e9", "18e12"), 1.6632e23, {OTHER: 1.6e23}),
    Worked("G, cut", _dense("2.6e9", "61e9", "164"), 1.560624e23, {FINAL: 1.5e23}),
    Worked("H, cut", _hours("370_000", "989", "0.5"), 6.58674e23, {FINAL: 6.5e23}),
]


def _digits(value: float) -> int:
    """How many significant digits a printed value has."""
    return len(f"{value:e}".partition("e")[0].rstrip("0").replace(".", ""))


@pytest.mark.parametrize("worked", EXAMPLES, ids=lambda each: each.name)
def test_a_worked_example_is_recomputed_to_its_printed_rounding(worked: Worked, tmp_path: Path) -> None:
    (stage,) = written(tmp_path, f"stages: [{worked.given}]").stages
    assert stage.flop is not None
    assert stage.flop.value == pytest.approx(worked.exact, rel=1e-4)
    for text, printed in worked.printed.items():
        assert float(f"{stage.flop.value:.{_digits(printed) - 1}e}") == printed, text


@pytest.mark.parametrize("worked", CUT, ids=lambda each: each.name)
def test_a_printed_value_that_is_cut_off_is_no_rounding(worked: Worked, tmp_path: Path) -> None:
    (stage,) = written(tmp_path, f"stages: [{worked.given}]").stages
    assert stage.flop is not None
    (printed,) = worked.printed.values()
    power = 10.0 ** (math.floor(math.log10(printed)) - 1)
    assert math.floor(stage.flop.value / power) * power == pytest.approx(printed)
    assert float(f"{stage.flop.value:.1e}") != printed


def test_a_rounded_b_is_over_the_line_as_the_exact_figure_is(tmp_path: Path) -> None:
    found = under(written(tmp_path, f"stages: [{EXAMPLES[1].given}]"), "eu-gpai")
    assert found.over_by_estimate
    assert found.side == "undecided"  # 1.08e23 with 30 % of error reaches 7.6e22


def test_llama_3_2_1b_is_told_by_two_methods_a_factor_of_ten_apart(tmp_path: Path) -> None:
    text = """
    model: Llama 3.2 1B
    stages:
      - {stage: pretrain, name: pre-training, parameters: 1.23e9, tokens: 9e12,
         chip_hours: 370000 h, peak: 989 TFLOP/s, utilisation: 0.5}
    """
    account = every(written(tmp_path, text))
    (stage,) = account.lifecycle.stages
    assert stage.architecture is not None
    assert stage.architecture.value == pytest.approx(6.642e22)
    assert stage.disagreement == pytest.approx(9.917, rel=1e-3)
    gpai = next(f for f in account.findings if f.rule.id == "eu-gpai")
    assert [(c.method, c.amount.value) for c in gpai.candidates] == [
        ("architecture", pytest.approx(6.642e22)),
        ("hardware", pytest.approx(6.587e23, rel=1e-3)),
    ]
    assert (gpai.side, gpai.over_by_estimate) == ("undecided", None)
    (told,) = [note for note in notes(account) if note.startswith("pre-training")]
    assert "9.92 times as much, and not averaged" in told
    assert "pruning" in told
    assert "at 5% of their peak and not at 50%" in told
    # No mean of the two is among the sums.
    sums = {candidate.amount.value for finding in account.findings for candidate in finding.candidates}
    assert len(sums - {0.0}) == 2


def test_active_parameters_count_of_a_mixture_of_experts(tmp_path: Path) -> None:
    given = "{stage: pretrain, parameters: 671e9, active_parameters: 37e9, tokens: 14.8e12}"
    (stage,) = written(tmp_path, f"stages: [{given}]").stages
    assert stage.flop is not None
    assert stage.flop.value == pytest.approx(3.2856e24)  # Epoch's figure of DeepSeek-V3
    assert "18.1 times as much" in stage.notes[0]


def test_footnote_13_passes_where_attention_dominates(tmp_path: Path) -> None:
    attention = Attention(layers=32, width=4096, context=131_072, d_model=4096)
    parameters = 12 * 32 * 4096**2
    assert attention.passes_footnote(parameters)
    assert parameters / (131_072 / 12) > 1e5
    assert attention.against_weights == pytest.approx(2.667, rel=1e-3)
    # Kaplan's ratio is exact for N = 12·layers·d_model²: attention is that part of the weights' FLOP.
    tokens, every_weight = Estimate.point(1e12), Estimate.point(parameters)
    with_it = by_architecture("pretrain", every_weight, tokens, attention).value
    without = by_architecture("pretrain", every_weight, tokens).value
    assert with_it / without - 1 == pytest.approx(attention.against_weights)
    given = "{stage: pretrain, parameters: 6.4e9, tokens: 1e12, layers: 32, d_model: 4096, context: 131072}"
    (stage,) = written(tmp_path, f"stages: [{given}]").stages
    (note,) = stage.notes
    assert "attention adds 268%" in note
    assert "footnote 13" in note
    short = given.replace("131072", "2048")
    (stage,) = written(tmp_path, f"stages: [{short}]").stages
    assert stage.notes == ()
    assert stage.flop is not None
    assert 6.4e9 * 6e12 < stage.flop.value < 6.4e9 * 6e12 * 1.1
