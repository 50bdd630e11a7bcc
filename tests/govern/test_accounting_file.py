"""Lifecycles from files, runs and records; and what is refused in them."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from ponder.data.rows import figure, row
from ponder.errors import CheckpointInvalid, InputError, UnknownName
from ponder.govern.accounting import (
    EXAMPLE,
    from_checkpoint,
    from_run,
    from_trainer_state,
    read_lifecycle,
    read_run,
)
from ponder.govern.accounting.document import notes
from ponder.govern.accounting.stages import KINDS, Estimate, Lifecycle
from ponder.ledger import Ledger

from .lives import every, under, written

LADDER = Path(__file__).parents[2] / "benchmarks/results/ladder"


def test_the_example_is_read_and_its_methods_agree() -> None:
    lifecycle, assumptions = read_lifecycle(EXAMPLE, ledger="none")
    assert [stage.kind for stage in lifecycle.stages] == ["pretrain", "rollouts", "rl_update"]
    pretrain = lifecycle.stages[0]
    assert pretrain.disagreement is not None
    assert 1 / 1.3 < pretrain.disagreement < 1.3
    assert {each.origin for each in assumptions} == {"yours"}
    assert len(assumptions) == 9


def test_every_commented_line_of_the_example_can_be_used(tmp_path: Path) -> None:
    text = EXAMPLE.read_text("utf-8")
    used = ["plan_known:", "weights:", "data:", "distilled_from:", "revenue:", "compute_cost:", "epochs:"]
    used += ["layers:", "d_model:", "context:", "start:", "end:", "active_parameters:"]
    lines = []
    for line in text.splitlines():
        bare = line.replace("# ", "", 1) if "# " in line else line
        lines.append(bare if any(bare.strip().startswith(key) for key in used) else line)
    lifecycle = written(tmp_path, "\n".join(lines))
    assert lifecycle.known == date(2026, 11, 1)
    assert lifecycle.facts.weights == "closed"
    assert lifecycle.facts.compute_cost is not None
    assert lifecycle.stages[0].start == date(2026, 12, 1)


def test_every_kind_of_stage_can_be_written(tmp_path: Path) -> None:
    rows = "\n".join(f"  - {{stage: {kind}, flop: 1e20..1e21}}" for kind in KINDS)
    stages = written(tmp_path, f"stages:\n{rows}").stages
    assert [stage.kind for stage in stages] == list(KINDS)
    assert stages[0].flop == Estimate(pytest.approx(10**20.5), 1e20, 1e21)


def test_learning_costs_three_times_reading(tmp_path: Path) -> None:
    each = "parameters: 1e9, tokens: 1e9"
    text = f"stages: [{{stage: sft, {each}}}, {{stage: rollouts, {each}}}]"
    learnt, read = written(tmp_path, text).stages
    assert (learnt.flop, read.flop) == (Estimate.point(6e18), Estimate.point(2e18))


def test_chips_and_hours_are_chip_hours_and_units_convert(tmp_path: Path) -> None:
    text = """stages:
      - {stage: sft, name: a, chips: 1000, hours: 10 days, peak: 1 PFLOP/s, utilisation: 40 %}
      - {stage: sft, name: b, chip_hours: 240000, peak: 1000 TFLOP/s, utilisation: 0.4}"""
    first, second = written(tmp_path, text).stages
    assert first.hardware is not None
    assert second.hardware is not None
    assert first.hardware.value == pytest.approx(1000 * 864_000 * 1e15 * 0.4)
    assert second.hardware.value == pytest.approx(first.hardware.value)


def test_a_chip_is_a_row_and_a_utilisation_that_is_not_told_is_assumed_on_show(tmp_path: Path) -> None:
    path = tmp_path / "life.yaml"
    path.write_text("stages: [{stage: sft, chip_hours: 1000, chip: h100-sxm}]", "utf-8")
    lifecycle, assumptions = read_lifecycle(path, ledger="none")
    by_name = {each.name: each for each in assumptions}
    peak, usual = by_name["h100-sxm.bf16"], by_name["sft.utilisation"]
    assert peak.quantity is not None
    assert usual.quantity is not None
    assert peak.source
    assert usual.source
    assert usual.quantity.low < usual.quantity.value < usual.quantity.high
    (stage,) = lifecycle.stages
    assert stage.hardware is not None
    assert stage.hardware.value == pytest.approx(3.6e6 * peak.quantity.value * usual.quantity.value)
    assert stage.hardware.low < stage.hardware.value < stage.hardware.high


def test_a_stage_of_unknown_compute_is_unknown_and_not_zero(tmp_path: Path) -> None:
    lifecycle = written(tmp_path, "stages: [{stage: pretrain, flop: 1e24}, {stage: sft}]")
    assert lifecycle.stages[1].flop is None
    assert under(lifecycle, "ca-sb53").unknown == ("sft",)


BAD: list[tuple[str, str]] = [
    ("", "stages: it must be a list with at least one stage"),
    ("stages: []", "stages: it must be a list with at least one stage"),
    ("stages: [1]", r"stages\[0\]: it must hold names with values"),
    ("stage: [{stage: sft}]", "Unknown key of a lifecycle 'stage': did you mean stages"),
    ("stages: [{stage: sfft, flop: 1e20}]", r"Unknown stages\[0\].stage 'sfft': did you mean sft"),
    ("stages: [{flop: 1e20}]", r"Unknown stages\[0\].stage 'None'"),
    ("stages: [{stage: sft, token: 3}]", r"Unknown key of stages\[0\] 'token': did you mean tokens"),
    ("stages: [{stage: sft, flop: 0}]", "sft.flop: 0 FLOP must be above zero"),
    ("stages: [{stage: sft, flop: -1e20}]", "must be above zero"),
    ("stages: [{stage: sft, flop: .nan}]", "sft.flop: nan is no number"),
    ("stages: [{stage: sft, flop: 1e400}]", "sft.flop: it is too large or too small"),
    ("stages: [{stage: sft, parameters: 1e50, tokens: 1e50}]", "parameters: 1e.50 must be at most 1e.40"),
    ("stages: [{stage: sft, flop: 3e25..1e25}]", r"upside down; write 1e\+25..3e\+25"),
    ("stages: [{stage: sft, flop: 3 km}]", "the unit 'km' does not fit; give it in FLOP"),
    ("stages: [{stage: sft, parameters: 1e9}]", r"stages\[0\].tokens: it must be given too"),
    ("stages: [{stage: sft, tokens: 1e9}]", r"stages\[0\].parameters: it must be given too"),
    ("stages: [{stage: sft, flop: 1e20, tokens: 1e9}]", "give FLOP, or parameters and tokens, not both"),
    ("stages: [{stage: sft, parameters: 1e9, active_parameters: 2e9, tokens: 1}]", "more than all"),
    (
        "stages: [{stage: sft, parameters: 1, tokens: 1, layers: 3}]",
        "attention needs layers, d_model and context",
    ),
    ("stages: [{stage: sft, chips: 8}]", r"stages\[0\].hours: it must be given too"),
    ("stages: [{stage: sft, chips: 8, hours: 1, chip_hours: 8}]", "give them, or chips and hours, not both"),
    ("stages: [{stage: sft, chip_hours: 8}]", "name the chip, or give its peak"),
    ("stages: [{stage: sft, chip_hours: 8, chip: h1000}]", r"stages\[0\].chip.*'h1000': did you mean"),
    (
        "stages: [{stage: sft, chip_hours: 8, peak: 1e15 FLOP/s, utilisation: 1.2}]",
        "sft.utilisation: 1.2 must be at most 1",
    ),
    ("stages: [{stage: sft, flop: 1e20, utilisation: 0.4}]", "it belongs to chips"),
    ("stages: [{stage: sft, flop: 1e20, start: 2027-01-01}]", r"stages\[0\].end: a dated stage needs both"),
    ("stages: [{stage: sft, flop: 1e20, start: 2027-02-01, end: 2027-01-01}]", "lies before the start"),
    (
        "stages: [{stage: sft, flop: 1e20, start: soon, end: later}]",
        "'soon' is no date; write it as 2026-11-30",
    ),
    ("stages: [{stage: sft, flop: 1e20, by: others}]", "belongs to a stage of base_weights alone"),
    ("stages: [{stage: sft, flop: 1e20, published: true}]", "belongs to synthetic_data and teacher_passes"),
    ("stages: [{stage: synthetic_data, flop: 1e20, published: perhaps}]", "is neither yes nor no"),
    ("stages: [{stage: base_weights, flop: 1e20, how: glued}]", "Unknown stages"),
    (
        "stages: [{stage: sft, flop: 1e20}, {stage: sft, flop: 1e20}]",
        "two are called 'sft'; give each a name",
    ),
    ("facts: {weight: open}\nstages: [{stage: sft}]", "Unknown key of facts 'weight': did you mean weights"),
    ("facts: {weights: ajar}\nstages: [{stage: sft}]", "Unknown facts.weights 'ajar'"),
    ("facts: {generates: [text]}\nstages: [{stage: sft}]", "Unknown facts.generates 'text'"),
    (
        "stages: [{stage: sft, chips: 1000, hours: 100, peak: 989}]",
        "sft.peak: 989 has no unit; write it after the number, one that converts to FLOP/s",
    ),
    ("facts: {revenue: 600}\nstages: [{stage: sft}]", "facts.revenue: 600 has no unit"),
    ("facts: {revenue: 3 EUR}\nstages: [{stage: sft}]", "the unit 'EUR' does not fit; give it in USD"),
    ("calculator: theft\nstages: [{stage: sft}]", "calculator: life.yaml is a scenario of another"),
    ("stages: [{run: nowhere, flop: 3}]", "Unknown key of stages"),
    ("stages: [{trainer_state: none.json}]", "none.json is no file"),
]


@pytest.mark.parametrize(("text", "said"), BAD, ids=[said[:40] for _, said in BAD])
def test_what_cannot_be_read_is_refused_in_one_sentence(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said) as refused:
        written(tmp_path, text)
    assert "\n" not in str(refused.value)


# ---------------------------------------------------------------- what was booked


def _book(path: Path, *rows: tuple[str, str | None, str, float | None]) -> str:
    with Ledger.open(path, write=True) as ledger:
        recorder = ledger.run("r", {"kind": "train"})
        for stage, part, model, flop in rows:
            recorder.stage(stage, part=part, model=model, flop=flop, seconds=1.0, device="cpu", started=1.5e9)  # type: ignore[arg-type]
        ledger.run("empty", {"kind": "train"})
    return str(path)


def test_a_run_is_a_lifecycle(tmp_path: Path) -> None:
    ledger = _book(
        tmp_path / "l.db",
        ("synthetic_data", "kept", "teacher", 3e9),
        ("synthetic_data", "discarded", "teacher", 1e9),
        ("synthetic_data", "posed, repeated", "teacher", 5e8),
        ("sft", None, "student", 4e9),
        ("sft", None, "student", 2e9),
        ("evaluation", None, "student", 7e9),
    )
    lifecycle = from_run("r", ledger)
    assert [(stage.kind, stage.name, stage.flop and stage.flop.value) for stage in lifecycle.stages] == [
        ("synthetic_data", "r: synthetic_data, kept", 3e9),
        ("synthetic_data", "r: synthetic_data, discarded", 1e9),
        ("failed", "r: synthetic_data, posed, repeated", 5e8),
        ("sft", "r: sft", 6e9),
        ("evaluation", "r: evaluation", 7e9),
    ]
    sums = {f.rule.id: f.candidates[0].amount.value for f in every(lifecycle).findings if f.candidates}
    assert (sums["eu-systemic-risk"], sums["eu-gpai"], sums["ca-sb53"]) == (1e10, 6e9, 6e9)
    assert lifecycle.notes == ()
    assert [s.kind for s in from_run("r", ledger, ["student"]).stages] == ["sft", "evaluation"]


def test_an_operation_counter_that_disagrees_is_told(tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "l.db", write=True) as ledger:
        recorder = ledger.run("r", {"kind": "train"})
        for stage, counted in (("sft", 4e9), ("rl_update", 5e9), ("rollouts", None)):
            recorder.stage(
                stage, model="m", flop=4e9, flop_counted=counted, seconds=1.0, device="cpu", started=1.5e9
            )  # fmt: skip
        recorder.stage("pretrain", model="m", flop_counted=7e9, seconds=1.0, device="cpu", started=1.5e9)
    same, more, unknown, counted_alone = from_run("r", str(tmp_path / "l.db")).stages
    assert (same.notes, unknown.notes) == ((), ())
    assert more.notes == ("an operation counter found 1.25 times the formula's FLOP, which are taken",)
    assert counted_alone.flop == Estimate.point(7e9)


def test_a_run_of_several_models_says_that_it_is_their_sum(tmp_path: Path) -> None:
    ledger = _book(tmp_path / "l.db", ("pretrain", None, "a", 1e9), ("pretrain", None, "b", None))
    lifecycle = from_run("r", ledger)
    assert "trained 2 models (a, b), and this is the sum over all" in lifecycle.notes[0]
    assert lifecycle.stages[0].flop is None
    assert from_run("r", ledger, ["a"]).notes == ()
    with pytest.raises(UnknownName, match="known are a, b"):
        from_run("r", ledger, ["c"])
    with pytest.raises(InputError, match="empty has no training stages"):
        from_run("empty", ledger)


GPU = "NVIDIA H100 80GB HBM3"


def _timed(path: Path, *pieces: tuple[float | None, str | None]) -> str:
    """Pieces of one stage of 9e15 FLOP each: seconds and device."""
    with Ledger.open(path, write=True) as ledger:
        recorder = ledger.run("r", {"kind": "train"})
        for seconds, device in pieces:
            recorder.stage("sft", model="m", flop=9e15, seconds=seconds, device=device, started=1.5e9)
    return str(path)


def test_a_run_on_a_known_gpu_is_counted_by_its_hours_too(tmp_path: Path) -> None:
    ledger = _timed(tmp_path / "l.db", (100.0, GPU), (50.0, f"2 × {GPU}"))
    lifecycle, assumptions = read_run("r", ledger)
    (stage,) = lifecycle.stages
    peak, usual = figure(row("chips", "h100-sxm"), "bf16"), row("rates", "training_utilisation")
    assert peak is not None
    assert stage.possible == Estimate.point(200.0 * peak["value"])
    assert stage.hardware is not None
    assert stage.hardware.value == pytest.approx(200.0 * peak["value"] * usual["value"])
    assert stage.hardware.low == pytest.approx(200.0 * peak["value"] * usual["low"])
    assert stage.architecture == Estimate.point(1.8e16)
    assert [each.name for each in assumptions] == [f"{GPU}.bf16", "r.utilisation"]
    told = " ".join(notes(every(lifecycle)))
    assert "would have run at 9.1% of their peak and not at 44%" in told
    assert "the chips' hours are the ledger's, 0.0417 on 2 × NVIDIA" in told
    assert lifecycle.notes == ()


def test_a_peak_and_a_utilisation_that_are_given_go_before(tmp_path: Path) -> None:
    ledger = _timed(tmp_path / "l.db", (10.0, "cpu, 4 threads"), (10.0, "cpu, 2 processes"), (10.0, "cpu"))
    lifecycle, assumptions = read_run("r", ledger, peak="100 GFLOP/s", utilisation="0.2..0.4")
    stage = lifecycle.stages[0]
    assert stage.possible == Estimate.point(70.0 * 1e11)
    assert stage.hardware is not None
    assert (stage.hardware.low, stage.hardware.high) == pytest.approx((1.4e12, 2.8e12))
    assert {each.origin for each in assumptions} == {"yours"}
    text = "stages: [{run: r, peak: 100 GFLOP/s, utilisation: 0.2..0.4}]"
    path = tmp_path / "life.yaml"
    path.write_text(text, "utf-8")
    assert read_lifecycle(path, ledger=ledger)[0].stages[0].hardware == stage.hardware


@pytest.mark.parametrize(
    ("pieces", "device"),
    [
        ([(10.0, "cpu, 1 thread")], "cpu, 1 thread"),
        ([(10.0, GPU), (10.0, "NVIDIA Made Up 9000")], "NVIDIA Made Up 9000"),
        ([(10.0, None)], "a device not told"),
        ([(None, GPU)], ""),
    ],
)
def test_what_a_run_does_not_tell_is_unknown_by_the_chips_hours(
    pieces: list[tuple[float | None, str | None]], device: str, tmp_path: Path
) -> None:
    lifecycle, _ = read_run("r", _timed(tmp_path / "l.db", *pieces))
    assert [stage.hardware for stage in lifecycle.stages] == [None]
    assert lifecycle.stages[0].architecture == Estimate.point(9e15 * len(pieces))
    told = [each for each in lifecycle.notes if "are not counted" in each]
    assert len(told) == bool(device)
    assert all(f"hours on {device} are not counted" in each for each in told)


@pytest.mark.parametrize(
    ("peak", "utilisation", "said"),
    [
        ("0 FLOP/s", None, "r.peak: 0 FLOP/s must be above zero"),
        ("5 W", None, "r.peak: the unit 'W' does not fit"),
        ("1e9 FLOP/s", "1.5", "r.utilisation: 1.5 must be at most 1"),
        ("many", None, "r.peak: 'many' is no number"),
    ],
)
def test_a_peak_that_cannot_be_is_refused(
    peak: str, utilisation: str | None, said: str, tmp_path: Path
) -> None:
    ledger = _timed(tmp_path / "l.db", (10.0, "cpu"))
    with pytest.raises(InputError, match=said):
        read_run("r", ledger, peak=peak, utilisation=utilisation)


def test_a_file_may_name_a_run_beside_stages_of_its_own(tmp_path: Path) -> None:
    _book(tmp_path / "ledger.db", ("sft", None, "student", 4e9), ("sft", None, "other", 1e9))
    text = "stages: [{run: r, models: [student]}, {stage: base_weights, flop: 8e9, by: others}]"
    lifecycle = written(tmp_path, text)
    assert [(s.name, s.flop and s.flop.value) for s in lifecycle.stages] == [
        ("r: sft", 4e9),
        ("base_weights", 8e9),
    ]
    assert under(lifecycle, "eu-modifier").over_by_estimate is True


def test_a_checkpoint_tells_what_went_into_it(tmp_path: Path) -> None:
    folder = LADDER / "checkpoints/154k-search-random-0/3"
    told: dict[str, Any] = json.loads((folder / "ponder.json").read_text("utf-8"))
    lifecycle = from_checkpoint(folder)
    assert lifecycle.model == "154k-search-random-0/3"
    assert [s.flop and s.flop.value for s in lifecycle.stages] == [each["flop"] for each in told["stages"]]
    assert under(lifecycle, "eu-systemic-risk").candidates[0].amount.value == told["stages"][0]["flop"]


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        (None, "has no record of its stages"),
        ([], "has no record of its stages"),
        ([{"stage": "magic", "flop": 1.0}], "books an unknown stage, 'magic'"),
        ([{"stage": "sft", "flop": "many"}], "books 'many' as FLOP"),
        ([{"stage": "sft", "flop": -1.0}], "books '-1.0' as FLOP"),
    ],
)
def test_a_checkpoints_record_that_does_not_hold_is_refused(stages: Any, said: str, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_text("{}", "utf-8")
    (tmp_path / "ponder.json").write_text(json.dumps({"stages": stages}), "utf-8")
    with pytest.raises(CheckpointInvalid, match=said):
        from_checkpoint(tmp_path)


def test_a_trainer_state_is_a_stage_whose_unknown_flop_stay_unknown(tmp_path: Path) -> None:
    path = tmp_path / "trainer_state.json"
    path.write_text(json.dumps({"global_step": 3, "total_flos": 7.2e18, "log_history": []}), "utf-8")
    stage = from_trainer_state(path)
    assert (stage.kind, stage.flop) == ("imported", Estimate.point(7.2e18))
    assert "total_flos is 6 x parameters x positions" in stage.notes[0]
    state = {"global_step": 3, "total_flos": 0, "log_history": [], "num_input_tokens_seen": 1000}
    path.write_text(json.dumps(state), "utf-8")
    assert from_trainer_state(path).flop is None
    assert from_trainer_state(path, parameters=1e6).flop == Estimate.point(6e9)
    text = "stages: [{trainer_state: trainer_state.json, stage: sft, parameters: 1e6, name: tuned}]"
    (named,) = written(tmp_path, text).stages
    assert (named.kind, named.name, named.flop) == ("sft", "tuned", Estimate.point(6e9))


# ---------------------------------------------------------------- the committed examples

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_committed_example_is_the_one_that_is_written() -> None:
    assert (EXAMPLES / "account.yaml").read_text("utf-8") == EXAMPLE.read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "route"),
    [
        ("fine-tuning", "fine-tuning"),
        ("reuse", "model reuse"),
        ("expansion", "model expansion"),
        ("inference", "above-optimal inference"),
    ],
)
def test_each_way_round_a_line_is_told_apart(name: str, route: str) -> None:
    lifecycle, _ = read_lifecycle(EXAMPLES / f"account-{name}.yaml", ledger="none")
    assert {each.name for each in every(lifecycle).routes} == {route}


def test_the_ways_round_a_line_work_where_a_text_lets_them() -> None:
    def lifecycle(name: str) -> Lifecycle:
        return read_lifecycle(EXAMPLES / f"account-{name}.yaml", ledger="none")[0]

    for name, rule in (("fine-tuning", "ca-sb53"), ("expansion", "us-eo14110")):
        found = under(lifecycle(name), rule)
        assert found.readings is not None
        assert (found.readings.chosen, found.readings.lowest.side) == ("over", "under"), name
        assert found.side == "depends on the reading"
    reuse = every(lifecycle("reuse")).routes[0]
    assert "ca-sb53" in reuse.decides
    assert not reuse.counted
    assert under(lifecycle("inference"), "eu-systemic-risk").over_by_estimate is False


def test_the_planned_example_crosses_a_line_and_is_due_before_it_does() -> None:
    lifecycle, _ = read_lifecycle(EXAMPLES / "account-plan.yaml", ledger="none")
    found = under(lifecycle, "eu-systemic-risk").crossing
    assert found is not None
    assert found.day is not None
    assert found.earliest is not None
    assert date(2027, 1, 1) < found.earliest < found.day < date(2027, 4, 30)
    assert found.notice_due == date(2026, 12, 15)
