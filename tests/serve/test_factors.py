"""Rules over several factors, of which some are measured, some declared and some unknown."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.cli import _app
from ponder.errors import BudgetError, ConfigError, InputError, UnknownName
from ponder.serve.factors import Condition, Factor, Measured, Rule, factors, parse_declared, rules

VOICE = Factor("voice", "Voices", values=("no", "yes"))
USERS = Factor("end_users", "Users")
AUTONOMY = Factor("autonomy", "Autonomy", values=("none", "tool", "agent"))
COMPUTE = Factor("compute", "Compute", unit="flop")

RULE = Rule(
    "r",
    "R",
    (
        (Condition(VOICE, "yes"), Condition(AUTONOMY, "tool")),
        (Condition(COMPUTE, 100.0, "day"),),
        (Condition(USERS, 10.0),),
    ),
)


def measured(known: float, whole: bool = True) -> Measured:
    return lambda unit, window: (known, whole)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's data folder, which is empty."""
    monkeypatch.setattr("ponder.data.rows.user_folder", lambda: tmp_path)
    return tmp_path


def test_a_rule_holds_where_every_part_does() -> None:
    declared: dict[str, str | float] = {"voice": "yes", "end_users": 10.0}
    verdict = RULE.verdict(declared, measured(101.0))
    assert verdict.holds is True
    assert {w.factor: w.known for w in verdict.factors} == {
        "voice": "declared",
        "autonomy": "declared",
        "compute": "measured",
        "end_users": "declared",
    }
    assert RULE.verdict(declared, measured(100.0)).holds is False  # the line itself is not over it
    assert RULE.verdict({**declared, "end_users": 9.0}, measured(101.0)).holds is False
    assert RULE.verdict({"autonomy": "agent", "end_users": 11.0}, measured(101.0)).holds is True


def test_what_is_unknown_decides_nothing() -> None:
    assert RULE.verdict({"voice": "yes"}, measured(101.0)).holds is None
    assert RULE.verdict({"voice": "no", "end_users": 99.0}, measured(101.0)).holds is None
    assert RULE.verdict({"end_users": 99.0, "voice": "yes"}, measured(50.0, False)).holds is None
    # Enough is known to say yes, or no, all the same.
    assert RULE.verdict({"end_users": 99.0, "voice": "yes"}, measured(101.0, False)).holds is True
    assert RULE.verdict({"end_users": 1.0}, measured(50.0, False)).holds is False
    (weighed,) = (w for w in RULE.verdict({}, measured(50.0, False)).factors if w.factor == "compute")
    assert (weighed.value, weighed.at_least, weighed.holds) == (None, 50.0, None)


known = st.fixed_dictionaries(
    {},
    optional={
        "voice": st.sampled_from(VOICE.values),
        "autonomy": st.sampled_from(AUTONOMY.values),
        "end_users": st.floats(0, 20),
    },
)


@given(known, known, st.floats(0, 200), st.floats(0, 200), st.booleans())
def test_to_learn_more_never_turns_a_verdict(
    first: dict[str, str | float], more: dict[str, str | float], spent: float, rest: float, whole: bool
) -> None:
    """What was decided stays so when more is declared, or the unknown rest of a sum becomes known."""
    before = RULE.verdict(first, measured(spent, whole)).holds
    after = RULE.verdict({**more, **first}, measured(spent if whole else spent + rest)).holds
    assert after is not None or set(first) | set(more) < {"voice", "autonomy", "end_users"}
    assert before is None or after is before


def test_the_packages_rules_are_read() -> None:
    found = {rule.name: rule for rule in rules()}
    assert {"large-inference", "people-at-scale", "autonomous-at-scale", "reach"} <= set(found)
    for rule in found.values():
        assert rule.source
        assert rule.date
    assert found["reach"].window == "month"
    declared = parse_declared("tools=yes, end_users=20000")
    assert found["reach"].verdict(declared, measured(20_000.0)).holds is True


def test_a_line_of_the_operators_own() -> None:
    *_, flop, tokens = rules(["1e18flop/day,5tok/hour"])
    assert (flop.title, flop.window) == ("More than 1e+18 flop/day", "day")
    assert tokens.verdict({}, measured(6.0)).holds is True
    with pytest.raises(BudgetError):
        rules(["5apples"])


@pytest.mark.parametrize(
    "text", ["voice=maybe", "end_users=-1", "end_users=nan", "end_users=x", "voice=no,voice=no"]
)
def test_what_cannot_be_declared(text: str) -> None:
    with pytest.raises((InputError, UnknownName), match=r"voice|end_users"):
        parse_declared(text)
    with pytest.raises(UnknownName, match="declare"):
        parse_declared("inference_compute=3")  # the server counts it


def test_the_users_rows_add_rules_and_put_some_out_of_force(folder: Path) -> None:
    (folder / "serve_rules.toml").write_text(
        '[rule.mine]\nall = [{factor = "outside_world", from = "yes"}]\n[rule.reach]\noff = true\n'
    )
    names = [rule.name for rule in rules()]
    assert "mine" in names
    assert "reach" not in names
    assert rules()[names.index("mine")].window == "total"


@pytest.mark.parametrize(
    "text",
    [
        "[rule]\nx = 3",
        "[rule.x]\nall = []",
        "[rule.x]\nall = [{any = []}]",
        '[rule.x]\nall = ["voice"]',
        '[rule.x]\nall = [{factor = "nothing", from = "yes"}]',
        '[rule.x]\nall = [{factor = "voice", from = "maybe"}]',
        '[rule.x]\nall = [{factor = "voice", over = 3}]',
        '[rule.x]\nall = [{factor = "end_users", from = true}]',
        '[rule.x]\nall = [{factor = "tokens", over = 3}]',
        '[rule.x]\nall = [{factor = "tokens", over = 3, window = "year"}]',
        '[rule.x]\nall = [{factor = "tokens", over = nan, window = "day"}]',
        '[factor.x]\nunit = "apples"',
        "[factor.x]\nvalues = 3",
    ],
)
def test_a_row_that_cannot_be_read_is_named(folder: Path, text: str) -> None:
    (folder / "serve_rules.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"serve_rules.*: (rule|factor)\.x"):
        rules()


def test_measured_factors_are_counted_by_the_server() -> None:
    found = factors()
    assert found["inference_compute"].unit == "flop"
    assert found["voice"].unit is None


def test_the_command_lists_factors_and_rules(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _app.run(["serve", "rules", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    known = {each["factor"]: each["known"] for each in told["factors"]}
    assert (known["inference_compute"], known["voice"]) == ("measured", "declared")
    assert {rule["rule"] for rule in told["rules"]} == {rule.name for rule in rules()}
    assert _app.run(["serve", "rules"]) == 0
    shown = capsys.readouterr().out
    assert "voice is yes or images is yes" in shown
    assert "inference_compute is over 1e+19 flop in a day" in shown
    assert "autonomy is expert or more" in shown
    assert "Annex XIII" in shown
    (folder / "serve_rules.toml").write_text("[rule.x]\nall = 3")
    assert _app.run(["serve", "rules"]) == 2
    assert "rule.x" in capsys.readouterr().err
