"""What a compute card says: of a ladder's checkpoint, of a run, and of what nobody knows."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from ponder import flop
from ponder.config import Settings, model_card
from ponder.data import rows
from ponder.engines._torch_folder import read_folder
from ponder.errors import CheckpointInvalid, InputError, UnknownName
from ponder.govern import accounting
from ponder.govern.card import SCHEMA_ID, Card, Options, card, fleet_choice, schema
from ponder.laws import counts_of
from ponder.laws.ladder import read
from ponder.laws.study import study_worth
from ponder.train.recorded import load, save
from tests.govern.cards import (
    CHECKPOINTS,
    DAY,
    DRAWS,
    NAME,
    PROBLEMS,
    REPOSITORY,
    made,
    write_checkpoint,
    write_run,
)
from tests.laws.recordings import TASK

CARDS = sorted((REPOSITORY / "benchmarks" / "results" / "cards").glob("*.json"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("ladder"))


@pytest.fixture(scope="module")
def ladder_card(folder: Path) -> Card:
    return made(folder)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_run(tmp_path_factory.mktemp("run"), tasks=("sums", "more sums"))


@pytest.fixture(scope="module")
def run_card(ledger: str) -> Card:
    return made("made", ledger)


# ---------------------------------------------------------------- a checkpoint


def test_a_checkpoint_is_told_by_its_weights_and_its_record(ladder_card: Card, folder: Path) -> None:
    who, model = ladder_card.identity, read_folder(folder).model
    assert who.name == NAME
    assert who.weights_sha256 == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert who.parameters == who.active_parameters == model.active_parameters
    assert who.precision == "float16, as stored"
    told = {each.name: each.source for each in ladder_card.assumptions}
    assert told["layers"] == "the model's own shape"
    assert told["sample_tokens"] == f"{ladder_card.tasks[0].problems} problems of {TASK}, {DRAWS} draws each"
    booked = json.loads((folder / "ponder.json").read_text())["stages"]
    assert [each.flop and each.flop.value for each in ladder_card.training.stages] == pytest.approx(
        [each["flop"] for each in booked], rel=1e-5
    )
    assert {each.origin for each in ladder_card.training.stages} == {"measured"}


def test_rules_are_counted_as_the_account_counts_them(ladder_card: Card, folder: Path) -> None:
    found = accounting.account(accounting.from_checkpoint(folder), accounting.every_rule(), on=DAY)
    assert [each.rule for each in ladder_card.training.rules] == [each.rule.id for each in found.findings]
    assert [each.side for each in ladder_card.training.rules] == [each.side for each in found.findings]
    for told, finding in zip(ladder_card.training.rules, found.findings, strict=True):
        if finding.side != "not asked":
            assert told.counted[0].value == pytest.approx(finding.candidates[0].amount.value, rel=1e-5)


def test_curves_are_those_of_the_recording_against_its_flop(ladder_card: Card, folder: Path) -> None:
    path = next(each for each in (folder.parents[2] / "recorded").iterdir() if load(each).name == NAME)
    recorded = load(path)
    (task,) = ladder_card.tasks
    vote, coverage = task.curves
    assert (vote.strategy, vote.oracle, coverage.oracle) == ("vote", False, True)
    ks = [int(each.samples) for each in coverage.measured]
    assert ks == [1, 2, 4, 8, 16]
    assert [each.accuracy.value for each in coverage.measured] == pytest.approx(
        recorded.passed(ks).mean(axis=0), rel=1e-5
    )
    assert [each.flop for each in coverage.measured] == pytest.approx(
        recorded.flop(ks).mean(axis=0), rel=1e-5
    )
    assert vote.law is not None
    assert vote.law.reach == (1.0, DRAWS)
    assert [each.samples for each in vote.told if not each.beyond][-1] == DRAWS
    spent = ladder_card.made.spent
    assert spent.samples == DRAWS * task.problems
    read_and_written = sum(tally.prompt_tokens for tally in recorded.tallies) + DRAWS * recorded.tokens.sum()
    assert spent.tokens == pytest.approx(read_and_written)
    assert spent.flop == pytest.approx(recorded.flop([DRAWS]).sum())
    assert ladder_card.made.recordings == {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}


def test_gains_are_those_of_the_ladder(ladder_card: Card, folder: Path) -> None:
    study = study_worth(read(folder.parents[2] / "recorded"), TASK, "vote", draws=60)
    (row,) = (each for each in study.rows if each.model == NAME)
    gain = next(g for g in ladder_card.tasks[0].gains if g.strategy == "vote" and g.samples == DRAWS)
    assert row.gain is not None
    assert gain.value == pytest.approx(row.gain.value, rel=1e-5)
    assert gain.of_flop == pytest.approx(row.gain.of_flop, rel=1e-5)
    assert gain.bounds_of_flop == pytest.approx(row.bounds_of_flop, rel=1e-5)
    assert gain.inference_ratio == pytest.approx(row.inference_ratio, rel=1e-5)
    assert {each.samples for each in ladder_card.tasks[0].gains} == {8, DRAWS}
    assert ladder_card.tasks[0].gains_undefined is None


def test_an_answer_costs_its_samples_and_one_reading_of_the_prompt(ladder_card: Card) -> None:
    task = ladder_card.tasks[0]
    one = task.curves[0].measured[0]
    by_word = {each.effort: each for each in task.efforts}
    least, low = by_word["minimal"], by_word["low"]
    assert least.flop is not None
    assert least.flop.value == pytest.approx(one.flop, rel=0.02)
    assert least.accuracy is not None
    assert least.accuracy.value == pytest.approx(one.accuracy.value, rel=1e-5)
    assert low.samples is not None
    assert low.generated_tokens is not None
    assert task.sample_tokens is not None
    assert low.generated_tokens.value == pytest.approx(low.samples.value * task.sample_tokens.value, rel=0.02)
    assert (low.accuracy_by, by_word["max"].accuracy_by) == ("measured", "foretold")


def test_a_budget_of_tokens_ends_an_efforts_vote(tmp_path: Path) -> None:
    """Samples of 25,000 tokens: of medium's 100,000 four fit, of low's, which has no budget, all."""
    (task,) = made("made", write_run(tmp_path, tokens=25_000)).tasks
    by_word = {each.effort: each for each in task.efforts}
    low, medium = by_word["low"], by_word["medium"]
    assert (low.token_budget, medium.token_budget) == (None, 100_000)
    assert low.samples is not None
    assert medium.samples is not None
    assert medium.samples.value == 4.0 < low.samples.value
    assert medium.generated_tokens is not None
    assert medium.generated_tokens.value == pytest.approx(100_000, rel=1e-5)
    least, most = by_word["minimal"].accuracy, low.accuracy
    assert least is not None
    assert medium.accuracy is not None
    assert most is not None
    assert least.value <= medium.accuracy.value <= most.value


def test_without_counts_of_tokens_no_budget_is_known_to_end_a_vote(tmp_path: Path) -> None:
    (task,) = made("made", write_run(tmp_path, tokens=None)).tasks
    medium = next(each for each in task.efforts if each.effort == "medium")
    assert medium.samples is not None
    assert medium.samples.value > 4.0
    assert medium.generated_tokens is None


def test_recordings_that_are_missing_or_of_other_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    alone.mkdir()
    with pytest.raises(InputError, match=r"^recorded: there is no folder"):
        made(folder, recorded=tmp_path / "nowhere")
    with pytest.raises(InputError, match=rf"^recorded: .* has no recording of {NAME}"):
        made(folder, recorded=alone)
    known = next(each for each in read(folder.parents[2] / "recorded").recordings if each.name == NAME)
    save(alone / "other.jsonl.xz", {**known.about, "weights": "0" * 64}, known.tallies)
    with pytest.raises(InputError, match=r"is of other weights than"):
        made(folder, recorded=alone)
    with pytest.raises(InputError, match=r"^card: .* is no checkpoint that ponder trained"):
        made(alone)
    with pytest.raises(InputError, match=rf"^task: {NAME} was recorded on"):
        made(folder, tasks=("char_chain",))


def test_a_checkpoint_that_lacks_a_file_is_refused(folder: Path, tmp_path: Path) -> None:
    part = tmp_path / "part"
    part.mkdir()
    (part / "ponder.json").write_bytes((folder / "ponder.json").read_bytes())
    with pytest.raises(CheckpointInvalid, match=r"lacks config.json"):
        made(part, recorded=folder.parents[2] / "recorded")


# ---------------------------------------------------------------- a run


def test_a_runs_accuracies_are_those_of_its_samples(run_card: Card, ledger: str) -> None:
    counts = counts_of("made", ledger, ("sums",))[0]
    task = next(each for each in run_card.tasks if each.task == "sums")
    assert (task.problems, task.draws) == (PROBLEMS, DRAWS)
    assert task.curves[0].measured[0].accuracy.value == pytest.approx(
        float((counts.right / counts.draws).mean()), rel=1e-5
    )
    assert run_card.made.measured is None, "nobody told when imported samples were drawn"
    assert task.gains == []
    assert task.gains_undefined is not None
    assert task.gains_undefined.startswith("Undefined: one size.")


def test_a_runs_flop_come_from_the_models_shape(run_card: Card) -> None:
    shape = model_card("smollm2", "").shape
    assert shape is not None
    first = run_card.tasks[0].curves[0].measured[0]
    assert first.flop == pytest.approx(
        flop.prefill_flop(shape, 40) + flop.decode_flop(shape, 40, 9), rel=1e-5
    )
    assert first.tokens == 49


def test_a_published_models_training_is_its_rows(run_card: Card) -> None:
    pretraining, tuning = run_card.training.stages
    row = rows.row("published_models", "smollm2-135m")
    assert pretraining.flop is not None
    assert pretraining.flop.value == row["training_flop"]["value"]
    assert (pretraining.origin, pretraining.confidence) == ("published", "medium")
    assert (tuning.origin, tuning.confidence) == ("assumed", "low")
    assert tuning.flop is not None
    assert tuning.flop.value == pytest.approx(6 * 134_515_008 * 8e8, rel=1e-5), "6·N·D"
    told = {each.name: each for each in run_card.assumptions}
    assert told["tuning_tokens"].source
    assert {each.side for each in run_card.training.rules} <= {"under", "not asked"}


def test_another_figure_in_the_table_is_another_count(
    ledger: str, run_card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "user_folder", lambda: tmp_path)
    (tmp_path / "published_models.toml").write_text(
        '[smollm2-135m.training_flop]\nvalue = 3e25\nlow = 2e25\nhigh = 4e25\nunit = "FLOP"\nsource = "me"\n'
        'date = "2026"\nconfidence = "high"\n'
    )
    sides = {each.rule: each.side for each in made("made", ledger, tasks=("sums",)).training.rules}
    changed = [each.rule for each in run_card.training.rules if sides[each.rule] != each.side]
    assert len(changed) >= 3
    assert {sides[each] for each in changed} == {"over"}


def test_twice_the_chips_give_twice_the_answers(ledger: str, run_card: Card) -> None:
    half = made("made", ledger, chips="500xH100", tasks=(run_card.tasks[0].task,))
    for before, after in zip(half.tasks[0].efforts, run_card.tasks[0].efforts, strict=True):
        assert before.answers_a_day is not None
        assert after.answers_a_day is not None
        assert after.answers_a_day.value == pytest.approx(2 * before.answers_a_day.value, rel=1e-4)
        assert after.usd == before.usd


def test_cost_energy_and_answers_are_those_of_the_roofline_by_hand(ledger: str) -> None:
    """SmolLM2 on H100s with all that is uncertain of them set; reading or arithmetic bounds a step."""
    sets = ("chip_hour=2", "serving=0.8", "power=1.5", "least_speed=20")
    sets += ("compute_use=0.4", "bandwidth_use=0.7", "memory_use=0.9")
    options = Options(fleet_choice("100xH100", sets=sets), DAY, tasks=("sums",), refits=20, draws=400)
    found = card("made", Settings(ledger=ledger), options)
    shape = model_card("smollm2", "").shape
    assert shape is not None
    parameters, read_tokens, written = flop.parameters(shape), 40, 9
    peak, bandwidth, room = 0.4 * 989.4e12, 0.7 * 3.35e12, 0.9 * 80e9
    weights, cache, attention = 2 * parameters, 2 * 30 * 3 * 64 * 2, 4 * 30 * 9 * 64
    context = read_tokens + written / 2
    token = 2 * parameters + context * attention
    streams = min((min(room, bandwidth / 20) - weights) / (context * cache), peak / 20 / token)
    rate = streams / max((weights + streams * context * cache) / bandwidth, streams * token / peak)
    reading = read_tokens * (2 * parameters + attention * read_tokens / 2) / peak
    assert found.fleet is not None
    assert found.fleet.tokens_a_second is not None
    assert found.fleet.tokens_a_second.value == pytest.approx(100 * 0.8 * rate, rel=1e-3)
    for each in found.tasks[0].efforts:
        assert each.generated_tokens is not None
        assert each.accuracy is not None
        seconds = reading + each.generated_tokens.value / rate
        answers = 86_400 * 0.8 * 100 / seconds
        told = [of and of.value for of in (each.usd, each.joules, each.answers_a_day)]
        assert told == pytest.approx([2 / 3600 * seconds / 0.8, 700 * 1.5 * seconds, answers], rel=0.01)
        assert each.right_a_day is not None
        assert each.right_a_day.value == pytest.approx(answers * each.accuracy.value, rel=0.05)


def test_what_moves_the_cost_most_comes_first(run_card: Card) -> None:
    moves = [each.moves or 0.0 for each in run_card.assumptions]
    assert moves == sorted(moves, reverse=True)
    assert moves[0] > 0
    assert all(each.source for each in run_card.assumptions if each.origin in ("published", "assumed"))


def test_a_model_that_no_table_knows_is_told_as_unknown(tmp_path: Path) -> None:
    ledger = write_run(tmp_path, model="nobody's")
    found = made("made", ledger)
    assert [each.flop for each in found.training.stages] == [None, None]
    assert {each.side for each in found.training.rules} == {"undecided", "not asked"}
    assert {(*each.counted, each.lower_end) for each in found.training.rules} == {(True,), (False,)}
    assert (found.identity.parameters, found.identity.weights_sha256) == (None, None)
    assert found.fleet is None
    assert found.fleet_unknown is not None
    assert found.fleet_unknown.startswith("Unknown: the shape of nobody's is.")
    assert [each.usd for each in found.tasks[0].efforts] == [None] * 6
    assert found.tasks[0].efforts[0].flop is None
    assert found.tasks[0].curves[0].measured[0].tokens == 49
    served = made("made", ledger, model="llama-3.1-8b")
    assert served.fleet is not None
    assert served.fleet.served == "Llama 3.1 8B"
    assert all(each.usd is not None for each in served.tasks[0].efforts)
    small = made("made", ledger, chips="1xH100", model="llama-3.1-405b")
    assert all(each.usd is None for each in small.tasks[0].efforts)
    assert any(note.startswith("The fleet does not serve the model") for note in small.notes)


def test_parameters_that_no_table_tells_and_no_shape_holds_are_unknown(tmp_path: Path) -> None:
    """Those that are active may not be all."""
    ledger = write_run(tmp_path, model="theirs")
    for row, told in (
        ({"active_parameters": 7e9}, None),
        ({"parameters": 2e10, "active_parameters": 7e9}, 2e10),
    ):
        settings = Settings(ledger=ledger, models={"theirs": row})
        who = card("made", settings, Options(fleet_choice("1xH100"), DAY, refits=20, draws=20)).identity
        assert (who.parameters, who.active_parameters) == (told, 7e9)


def test_too_few_draws_leave_the_law_undefined_and_say_so(tmp_path: Path) -> None:
    ledger = write_run(tmp_path, draws=4)
    task = made("made", ledger).tasks[0]
    assert [each.law for each in task.curves] == [None, None]
    assert [each.samples for each in task.curves[0].measured] == [1, 4]
    assert "draw more" in (task.curves[0].undefined or "")
    assert task.efforts == []
    assert "draw more" in (task.efforts_unknown or "")


# ---------------------------------------------------------------- what is refused


def test_a_fleet_is_read_from_text() -> None:
    found = fleet_choice("10000 × h100")
    assert (found.chips, found.chip) == ("10000", "h100-sxm")
    assert fleet_choice("800..1200xA100").chips == "800..1200"
    for text in ("H100", "xH100", "1000x", ""):
        with pytest.raises(InputError, match=r"^chips: .* is no fleet; write it as 1000xH100"):
            fleet_choice(text)
    with pytest.raises(UnknownName, match="h100"):
        fleet_choice("1000xH10")
    with pytest.raises(InputError, match=r"^chips"):
        fleet_choice("0xH100")
    with pytest.raises(UnknownName, match="llama"):
        fleet_choice("1xH100", model="lama-3.1-8b")


def test_a_run_that_is_not_there_or_has_no_samples_is_refused(ledger: str, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="made"):
        made("mode", ledger)
    with pytest.raises(UnknownName, match="sums"):
        made("made", ledger, tasks=("sum",))
    with pytest.raises(InputError, match=r"^recorded: it belongs to a checkpoint"):
        made("made", ledger, recorded=tmp_path)
    with pytest.raises(InputError, match=r"^card: .* is not there"):
        made(tmp_path / "none" / "at" / "all", ledger)


# ---------------------------------------------------------------- the document


def test_a_card_is_what_its_document_says(ladder_card: Card, run_card: Card) -> None:
    for each in (ladder_card, run_card):
        text = json.dumps(each.model_dump(mode="json"), allow_nan=False)
        assert Card.model_validate_json(text) == each


def test_the_committed_schema_is_the_programs() -> None:
    committed = json.loads((REPOSITORY / "docs" / "compute-card.schema.json").read_text("utf-8"))
    assert committed == json.loads(json.dumps(schema()))
    assert committed["$id"] == SCHEMA_ID
    assert SCHEMA_ID.endswith(f":{committed['properties']['schema_version']['const']}")


def test_both_committed_cards_follow_the_schema() -> None:
    assert len(CARDS) == 2
    for path in CARDS:
        text = path.read_text("utf-8")
        found = Card.model_validate_json(text)
        assert found.model_dump(mode="json") == json.loads(text)
        assert path.with_suffix(".html").is_file()
    kinds = {Card.model_validate_json(path.read_text("utf-8")).made.kind for path in CARDS}
    assert kinds == {"run", "checkpoint"}


def test_the_committed_ladders_card_is_of_the_committed_weights() -> None:
    for path in CARDS:
        found = Card.model_validate_json(path.read_text("utf-8"))
        if found.made.kind == "checkpoint":
            weights = CHECKPOINTS / found.made.source / "model.safetensors"
            assert found.identity.weights_sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()


def test_a_field_that_is_not_known_is_refused(run_card: Card) -> None:
    document = run_card.model_dump(mode="json") | {"rank": 1}
    with pytest.raises(ValueError, match="rank"):
        Card.model_validate(document)
