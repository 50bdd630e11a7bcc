"""Effort words, roles and the user's rows: what they mean and how a mistake is told."""

from pathlib import Path
from typing import Any

import pytest

from ponder.api import ask_async, solve_many_async
from ponder.config import Settings, efforts, load, model_card
from ponder.core import Budget, Model, Prompt, Question, Shape
from ponder.engines.scripted import ScriptedEngine
from ponder.errors import BudgetError, ConfigError, InputError, UnknownName
from ponder.ledger import Ledger
from ponder.strategies import plan

WORDS = ["none", "minimal", "low", "medium", "high", "xhigh", "max"]
QUESTION = Question("q", "3 + 4?", Prompt((), "3 + 4 ="), Prompt((), "3+4="), extract="number", max_tokens=8)


def test_every_word_is_a_plan_within_a_budget_and_none_shrinks() -> None:
    rows = efforts()
    assert list(rows) == WORDS
    samples = []
    for row in rows.values():
        budget = Budget.parse(row.budget)
        assert budget.samples is not None
        assert (plan(row.strategy).parameter("n") or 1) <= budget.samples
        samples.append(budget.samples)
    assert samples == sorted(samples)


def test_a_row_of_the_users_overrides_wholly_or_in_part() -> None:
    rows = efforts(Settings(effort={"high": {"strategy": "vote:n=3", "budget": ""}, "low": {"budget": "5s"}}))
    assert (rows["high"].strategy, rows["high"].budget) == ("vote:n=3", "")
    assert (rows["low"].strategy, rows["low"].budget) == (efforts()["low"].strategy, "5s")


@pytest.mark.parametrize(
    ("effort", "said"),
    [
        ({"huge": {"strategy": "vote"}}, r"\[effort.huge\]: there is no such word; known are none, minimal"),
        ({"high": {"strategey": "vote"}}, r"\[effort.high\]: it has no 'strategey'; it takes strategy and"),
    ],
)
def test_a_wrong_row_is_named(effort: dict[str, dict[str, str]], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        efforts(Settings(effort=effort))


def test_roles_of_a_flag_add_to_those_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ponder.toml"
    path.write_text('[roles]\njudge = "a"\nlarge = "b"\n', "utf-8")
    monkeypatch.setenv("PONDER_CONFIG", str(path))
    assert load({"roles": {"large": "c"}}).roles == {"judge": "a", "large": "c"}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"shape": {"layer": 3}}, "shape: it has no 'layer'; it takes layers, d_model"),
        ({"shape": {"layers": 3}}, "shape: d_model is missing; it needs layers, d_model"),
        ({"shape": 3}, "shape: it must be a table of numbers, not 3"),
        (
            {"price": {"usd_per_million_prompt": "1", "usd_per_million_completion": 2}},
            "price: usd_per_million_prompt must be a number of at least 0, not '1'",
        ),
        (
            {"price": {"usd_per_million_prompt": 1, "usd_per_million_completion": -2}},
            "price: usd_per_million_completion must be a number of at least 0, not -2",
        ),
        ({"prise": {}}, r'\[models."mine"\]: it has no \'prise\'; it takes shape, active_parameters'),
        (
            {"active_parameters": "8B"},
            r'\[models."mine"\]: active_parameters must be a number above 0, not \'8B\'',
        ),
        ({"context": 4096.5}, "context must be a whole number of tokens, not 4096.5"),
    ],
)
def test_a_models_row_names_its_wrong_key(row: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        model_card("mine", "", Settings(models={"mine": row}))


def settings(tmp_path: Path, **stated: Any) -> Settings:
    return Settings(ledger=str(tmp_path / "l.sqlite"), **stated)


async def asked(tmp_path: Path, engine: ScriptedEngine, **options: Any) -> Any:
    own = options.pop("settings", None) or settings(tmp_path)
    return await ask_async(QUESTION, engine=engine, settings=own, **options)


async def test_an_effort_word_is_its_strategy_and_budget_and_what_is_stated_goes_first(
    tmp_path: Path,
) -> None:
    engine = ScriptedEngine.drawing({"7": 1.0})
    assert len((await asked(tmp_path, engine, effort="minimal")).samples) == 1
    low = await asked(tmp_path, engine, effort="low")
    assert low.answer.choice == "7"
    assert 1 < len(low.samples) < 8
    stated = await asked(tmp_path, engine, effort="low", strategy="vote:n=20")
    assert (len(stated.samples), stated.stopped_by) == (8, "samples")
    loose = await asked(tmp_path, engine, effort="low", strategy="vote:n=20", budget="12samples")
    assert len(loose.samples) == 12
    assert len((await asked(tmp_path, engine)).samples) == 16
    with pytest.raises(UnknownName, match="Unknown effort 'hihg': did you mean high"):
        await asked(tmp_path, engine, effort="hihg")


async def test_a_role_is_played_recorded_and_priced_by_its_own_model(tmp_path: Path) -> None:
    solver = ScriptedEngine.drawing({"6": 0.5, "7": 0.5})
    large = ScriptedEngine.drawing({"7": 1.0})
    solution = await asked(tmp_path, solver, strategy="cascade:n=4,threshold=1", others={"large": large})
    assert large.calls == 1
    assert solution.answer.choice == "7"
    with Ledger.open(tmp_path / "l.sqlite", write=False) as ledger:
        (summary,) = ledger.runs()
        assert {call.role for call in ledger.calls(summary.id)} == {"solver", "large"}
    with pytest.raises(
        InputError, match="needs a model for the role 'large'; name it with --role large=MODEL"
    ):
        await asked(tmp_path, solver, strategy="cascade")


async def test_a_budget_without_room_for_one_sample_says_what_it_takes(tmp_path: Path) -> None:
    engine = ScriptedEngine.drawing({"7": 1.0})
    with pytest.raises(BudgetError, match="budget: 5 tokens has no room for one sample, which may take 12 "):
        await asked(tmp_path, engine, budget="5tok,30s,8samples")
    assert engine.calls == 0


async def test_a_scorer_that_cannot_score_the_question_is_refused(tmp_path: Path) -> None:
    engine = ScriptedEngine.drawing({"7": 1.0})
    for text in ("best:by=checks", "beam", "weighted_vote:by=checks"):
        with pytest.raises(InputError, match="checks cannot score this question"):
            await asked(tmp_path, engine, strategy=text)
    assert engine.calls == 0


async def test_samples_go_before_an_efforts_and_are_refused_where_there_are_none(tmp_path: Path) -> None:
    engine = ScriptedEngine.drawing({"6": 0.5, "7": 0.5})
    settled = efforts(Settings(effort={"low": {"strategy": "vote:n=8", "budget": ""}}))["low"]
    own = settings(tmp_path, effort={"low": {"strategy": settled.strategy, "budget": ""}})
    assert len((await asked(tmp_path, engine, settings=own, effort="low", samples=3)).samples) == 3
    with pytest.raises(InputError, match="samples: think takes no number of samples"):
        await asked(tmp_path, engine, strategy="think", samples=3)


async def test_the_callers_engine_plays_no_other_models_role(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that is handed over is not taken for the model that the settings name."""
    opened: list[str] = []
    large = ScriptedEngine.drawing({"7": 1.0})

    async def open_it(spec: str, settings: Settings) -> ScriptedEngine:
        opened.append(spec)
        return large

    monkeypatch.setattr("ponder.api.open_engine", open_it)
    own = settings(tmp_path, model="B", roles={"large": "B"})
    solver = ScriptedEngine.drawing({"6": 1.0, "5": 1.0})
    await asked(tmp_path, solver, settings=own, strategy="cascade:n=2,threshold=1,large=1")
    assert opened == ["B"]


async def test_a_budget_that_a_role_cannot_bound_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    shape = Shape(2, 8, 4, 2, 2, 16, 10)
    solver = ScriptedEngine.drawing({"7": 1.0}, model=Model("s", "f", shape=shape))
    judge = ScriptedEngine.drawing({"7": 1.0}, model=Model("unshapely", "f"))
    with pytest.raises(BudgetError, match="the shape of unshapely is unknown"):
        await asked(
            tmp_path, solver, strategy="best:by=judge,n=8", budget="1e12flop", others={"judge": judge}
        )
    assert solver.calls == judge.calls == 0


async def test_a_strategy_knows_the_cap_in_force(tmp_path: Path) -> None:
    engine = ScriptedEngine.drawing({"one two three four five six": 1.0})
    await asked(tmp_path, engine, strategy="force:waits=2", max_tokens=4)
    assert {request.max_tokens for request in engine.requests} == {4}


@pytest.mark.parametrize(
    ("question", "options", "said"),
    [
        (None, {}, "question: it must be a text or a Question, not NoneType"),
        ("3 + 4?", {"budget": 2000}, "budget: it must be a text such as '2000tok' or a Budget, not 2000"),
        ("3 + 4?", {"budget": "2000"}, "budget: '2000' has no unit"),
        ("3 + 4?", {"strategy": "vote:n"}, "vote:n has no value; write n=VALUE"),
        ("3 + 4?", {"strategy": "vote:n=2,n=3"}, "vote:n is given twice"),
        ("3 + 4?", {"strategy": "vote:n=\uff14"}, "vote:n must be a number"),
    ],
)
async def test_a_wrong_kind_is_one_sentence(
    tmp_path: Path, question: Any, options: dict[str, Any], said: str
) -> None:
    engine = ScriptedEngine.drawing({"7": 1.0})
    with pytest.raises(InputError, match=said):
        await ask_async(question, engine=engine, settings=settings(tmp_path), **options)
    assert not (tmp_path / "l.sqlite").exists()


async def test_a_text_is_no_list_of_questions(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="questions: give a list"):
        await solve_many_async("questions.jsonl", budget="9samples", settings=settings(tmp_path))


async def test_confidence_chooses_where_log_probabilities_are_told(tmp_path: Path) -> None:
    engine = ScriptedEngine.drawing({"7": 0.9, "6": 0.1})
    assert (await asked(tmp_path, engine, strategy="best:by=confidence,n=8")).answer.choice == "7"


async def test_a_refused_question_leaves_no_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="role 'large'"):
        await asked(tmp_path, ScriptedEngine.drawing({"7": 1.0}), strategy="cascade")
    assert not (tmp_path / "l.sqlite").exists()


def test_forcing_may_only_cut() -> None:
    assert plan("force:waits=0").parameters == {"waits": 0}
