"""Sums, readings, methods, plans and the routes round a line."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.govern.accounting import Estimate, Finding, Stage, every_rule
from ponder.govern.accounting.document import notes, rule_words, to_json
from ponder.govern.accounting.stages import KINDS, total

from .lives import ON, every, exactly, life, under


def _sums(*stages: Stage) -> dict[str, float]:
    return {f.rule.id: f.candidates[0].amount.value for f in every(life(*stages)).findings if f.candidates}


# ---------------------------------------------------------------- what is counted


@pytest.mark.parametrize(
    ("kind", "eu_cumulative", "eu_updates", "sb53", "eo"),
    [
        ("pretrain", True, True, True, True),
        ("sft", True, True, True, True),
        ("rl_update", True, True, True, True),
        ("rollouts", True, False, True, False),
        ("synthetic_data", True, False, False, False),
        ("teacher_passes", True, False, False, False),
        ("teacher_training", False, False, False, False),
        ("reward_model", False, False, False, False),
        ("base_weights", True, True, True, True),
        ("base_weights_of_others", True, False, True, True),
        ("recompute", False, False, False, False),
        ("evaluation", False, False, False, False),
        ("failed", False, False, False, False),
        ("deployment", False, False, False, False),
    ],
)
def test_what_each_rule_counts(
    kind: str, eu_cumulative: bool, eu_updates: bool, sb53: bool, eo: bool
) -> None:
    stage = exactly(
        kind.removesuffix("_of_others"), 7e20, by="others" if kind.endswith("_of_others") else "us"
    )
    sums = _sums(stage)
    names = ("eu-systemic-risk", "eu-gpai", "ca-sb53", "us-eo14110")
    assert [sums[name] for name in names] == [7e20 * each for each in (eu_cumulative, eu_updates, sb53, eo)]


def test_discarded_samples_count_with_the_kept_and_published_ones_do_not() -> None:
    kept, discarded = exactly("synthetic_data", 1e22, "kept"), exactly("synthetic_data", 9e22, "discarded")
    assert _sums(kept, discarded)["eu-systemic-risk"] == 1e23
    published = exactly("synthetic_data", 1e22, "public", published=True)
    assert _sums(published)["eu-systemic-risk"] == 0.0


def test_ambiguous_stages_tell_all_readings_and_which_stage_decides() -> None:
    lifecycle = life(exactly("pretrain", 8e24), exactly("rollouts", 9e24))
    found = under(lifecycle, "eu-systemic-risk")
    assert (found.side, found.applies, found.over_by_estimate) == ("depends on the reading", None, True)
    assert found.readings is not None
    assert (found.readings.lowest.amount.value, found.readings.lowest.side) == (8e24, "undecided")
    assert (found.readings.highest.amount.value, found.readings.highest.side) == (8e24 + 9e24, "over")
    assert (found.readings.chosen, found.readings.decisive) == ("over", ("rollouts",))
    words = rule_words(every(lifecycle), found)
    assert (
        "Over all readings 8e24 to 1.7e25 FLOP, undecided to over: the side depends on the reading." in words
    )
    assert "By the one chosen here it is over; another reading of rollouts alone would change that." in words


def test_readings_that_must_be_changed_together_are_an_end_too() -> None:
    """One stage is counted and two are not: flipping all at once comes to less than counting all."""
    stages = (
        exactly("pretrain", 8e25),
        exactly("rollouts", 9e24),
        exactly("synthetic_data", 6e24),
        exactly("teacher_passes", 6e24),
    )
    found = under(life(*stages), "ca-sb53")
    assert found.candidates[0].amount.value == pytest.approx(8.9e25)
    assert found.readings is not None
    assert (found.readings.lowest.amount.value, found.readings.highest.amount.value) == (
        8e25,
        pytest.approx(1.01e26),
    )
    assert (found.side, found.chosen_side, found.readings.decisive) == ("depends on the reading", "under", ())
    words = rule_words(every(life(*stages)), found)
    assert "it is under; it takes another reading of several stages to change that." in words


def test_readings_that_agree_decide() -> None:
    found = under(life(exactly("pretrain", 2e26), exactly("rollouts", 9e24)), "ca-sb53")
    assert (found.side, found.applies) == ("over", True)
    words = rule_words(every(life(exactly("pretrain", 2e26), exactly("rollouts", 9e24))), found)
    assert "Over all readings 2e26 to 2.09e26 FLOP: over by each." in words


def test_where_nothing_is_ambiguous_there_is_one_reading() -> None:
    lifecycle = life(exactly("pretrain", 1e24), exactly("evaluation", 1e24))
    assert under(lifecycle, "eu-systemic-risk").readings is None


def test_an_unknown_stage_leaves_a_lower_end() -> None:
    low = life(exactly("pretrain", 1e24), exactly("sft", None))
    found = under(low, "eu-systemic-risk")
    assert (found.side, found.over_by_estimate, found.unknown) == ("undecided", None, ("sft",))
    over = under(life(exactly("pretrain", 2e25), exactly("sft", None)), "eu-systemic-risk")
    assert (over.side, over.over_by_estimate) == ("over", True)
    uncounted = under(life(exactly("pretrain", 1e24), exactly("evaluation", None)), "eu-systemic-risk")
    assert (uncounted.side, uncounted.unknown) == ("under", ())


def test_shares_say_what_drives_a_sum() -> None:
    found = under(life(exactly("pretrain", 3e25), exactly("sft", 1e25), exactly("failed", 9e25)), "ca-sb53")
    assert [part.share for part in found.parts] == [0.75, 0.25, None]


# ---------------------------------------------------------------- the two methods


def _both(operations: float, hours: Estimate) -> Stage:
    return Stage("pretrain", "p", architecture=Estimate.point(operations), hardware=hours)


def test_methods_that_agree_within_the_tolerance_leave_the_operations_standing() -> None:
    found = under(life(_both(1e24, Estimate.point(1.3e24))), "eu-systemic-risk")
    assert [(c.method, c.amount.value) for c in found.candidates] == [("architecture", 1e24)]
    assert found.methods_ratio is None


def test_methods_beyond_the_tolerance_both_stand() -> None:
    found = under(life(_both(9e24, Estimate.point(2e25))), "eu-systemic-risk")
    assert [c.method for c in found.candidates] == ["architecture", "hardware"]
    assert (found.side, found.over_by_estimate) == ("undecided", None)
    assert found.methods_ratio == pytest.approx(2.22, rel=1e-2)
    assert under(life(_both(2e25, Estimate.point(9e25))), "eu-systemic-risk").side == "over"


def test_a_rule_without_a_tolerance_lets_intervals_that_meet_agree() -> None:
    wide = Estimate(3e24, 0.9e24, 4e24)
    assert len(under(life(_both(1e24, wide)), "ca-sb53").candidates) == 1
    assert len(under(life(_both(1e24, Estimate(3e24, 2e24, 4e24))), "ca-sb53").candidates) == 2


def test_what_one_method_does_not_tell_the_other_does() -> None:
    hours = Stage("sft", "s", hardware=Estimate.point(1e24))
    found = under(life(exactly("pretrain", 3e24), hours), "eu-systemic-risk")
    assert [(c.method, c.amount.value) for c in found.candidates] == [("architecture", 4e24)]
    assert under(life(hours), "eu-systemic-risk").candidates[0].method == "hardware"


# ---------------------------------------------------------------- plans


def _planned(flop: Estimate | float, start: date, days: int) -> Stage:
    estimate = flop if isinstance(flop, Estimate) else Estimate.point(flop)
    return Stage("pretrain", "p", estimate, start=start, end=start + timedelta(days=days - 1))


def test_a_plan_crosses_on_the_day_on_which_its_sum_passes_the_line() -> None:
    start = date(2027, 1, 1)
    found = under(life(_planned(4e25, start, 100)), "eu-systemic-risk").crossing
    assert found is not None
    assert found.day == start + timedelta(days=25)  # 25 whole days make exactly 1e25, which is not more
    assert found.notice_due == found.day + timedelta(days=14)
    done = exactly("base_weights", 5e24, by="us", how="fine-tuned")
    sooner = under(life(done, _planned(4e25, start, 100)), "eu-systemic-risk").crossing
    assert sooner is not None
    assert sooner.day == start + timedelta(days=12)


def test_a_settled_plan_starts_the_clock_before_the_line_is_crossed() -> None:
    known = date(2026, 11, 1)
    plan = life(_planned(4e25, date(2027, 1, 1), 100), known=known)
    found = under(plan, "eu-systemic-risk")
    assert found.crossing is not None
    assert (found.crossing.notice_due, found.crossing.known) == (date(2026, 11, 15), True)
    on_time = rule_words(every(plan, date(2026, 11, 15)), found)
    assert "Notice is due by 2026-11-15, 14 days from the day the plan was settled" in on_time
    late = rule_words(every(plan, date(2026, 11, 26)), found)
    assert "Notice was due by 2026-11-15, 14 days from" in late
    assert "on 2026-11-26 it is 11 days overdue." in late
    small = under(life(_planned(1e24, date(2027, 1, 1), 100), known=known), "eu-systemic-risk").crossing
    assert small is not None
    assert (small.day, small.notice_due) == (None, None)


def test_an_interval_gives_the_earliest_and_the_latest_day() -> None:
    start = date(2027, 1, 1)
    found = under(life(_planned(Estimate(2e25, 0.9e25, 4e25), start, 100)), "eu-systemic-risk").crossing
    assert found is not None
    days = (found.earliest, found.day, found.latest)
    assert days == (start + timedelta(days=25), start + timedelta(days=50), None)


def test_stages_without_dates_may_be_over_already() -> None:
    plan = life(exactly("sft", 2e25), _planned(1e24, date(2027, 1, 1), 10))
    found = under(plan, "eu-systemic-risk").crossing
    assert found is not None
    assert (found.before, found.day, found.notice_due) == (True, None, None)


def test_a_plan_without_dates_has_its_notice_and_says_what_it_lacks() -> None:
    plan = life(exactly("pretrain", 5e25), known=date(2026, 12, 1))
    found = under(plan, "eu-systemic-risk")
    assert found.crossing is not None
    assert (found.crossing.notice_due, found.crossing.known) == (date(2026, 12, 15), True)
    words = rule_words(every(plan), found)
    assert "No stage that counts has dates; give start and end" in words
    assert "Notice is due by 2026-12-15" in words
    unknown = life(exactly("pretrain", 5e25))
    lacks = under(unknown, "eu-systemic-risk")
    assert lacks.crossing is None
    told = rule_words(every(unknown), lacks)
    assert "Notice is due within 14 days" in told
    assert "give plan_known, or start and end of the stages" in told
    small = life(exactly("pretrain", 1e24), known=date(2026, 12, 1))
    assert under(small, "eu-systemic-risk").crossing is None
    assert "Notice" not in rule_words(every(small), under(small, "eu-systemic-risk"))


def test_a_day_without_an_interval_is_told_once() -> None:
    plan = life(_planned(4e25, date(2027, 1, 1), 100))
    words = rule_words(every(plan), under(plan, "eu-systemic-risk"))
    assert "Crossed on 2027-01-26. Notice" in words
    wide = life(_planned(Estimate(4e25, 3e25, 5e25), date(2027, 1, 1), 100))
    told = rule_words(every(wide), under(wide, "eu-systemic-risk"))
    assert "(2027-01-21 at the earliest, 2027-02-03 at the latest)" in told


@pytest.mark.parametrize("rule", ["ca-sb53", "ny-raise", "eu-gpai"])
def test_a_rule_that_asks_for_no_notice_says_so(rule: str) -> None:
    big, small = life(exactly("pretrain", 2e26)), life(exactly("pretrain", 1e22))
    assert "no notice" in rule_words(every(big), under(big, rule))
    assert "no notice" not in rule_words(every(small), under(small, rule))


def test_stages_at_one_time_accrue_together() -> None:
    start = date(2027, 1, 1)
    two = life(_planned(2e25, start, 100), Stage("sft", "s", Estimate.point(2e25), start=start, end=start))
    found = under(two, "eu-systemic-risk").crossing
    assert found is not None
    assert found.day == start
    uncounted = life(Stage("evaluation", "e", Estimate.point(9e25), start=start, end=start))
    assert under(uncounted, "eu-systemic-risk").crossing is None


# ---------------------------------------------------------------- routes (Pistillo & Villalobos 2025)


def _routes(*stages: Stage) -> dict[str, object]:
    return {route.name: route for route in every(life(*stages)).routes}


def test_fine_tuning_rests_on_whether_the_base_counts() -> None:
    base = exactly("base_weights", 8e25, "base", by="others", how="fine-tuned")
    lifecycle = life(base, exactly("sft", 3e25))
    (route,) = every(lifecycle).routes
    assert route.name == "fine-tuning"
    assert "ca-sb53" in route.ambiguous
    assert "eu-systemic-risk" in route.counted
    assert "ca-sb1047-tuned" in route.left_out
    found = under(lifecycle, "ca-sb53")
    assert found.readings is not None
    assert (found.readings.chosen, found.readings.lowest.side) == ("over", "under")
    assert found.readings.decisive == ("base",)
    assert under(lifecycle, "eu-modifier").over_by_estimate is True
    assert under(lifecycle, "ca-sb1047-tuned").over_by_estimate is True


def test_reusing_a_teacher_leaves_its_training_out() -> None:
    account = every(
        life(
            exactly("teacher_training", 9e25, "teacher"),
            exactly("teacher_passes", 1e24, "passes"),
            exactly("pretrain", 2e25, "student"),
        )
    )
    teacher, passes = account.routes
    assert teacher.name == passes.name == "model reuse"
    assert not teacher.counted
    assert not teacher.ambiguous
    assert "ca-sb53" in teacher.decides
    assert "eu-systemic-risk" in passes.counted
    assert passes.decides == ()


def test_expanding_a_model_keeps_the_compute_of_the_smaller_one_in_question() -> None:
    lifecycle = life(
        exactly("base_weights", 6e25, "small", by="us", how="expanded"), exactly("pretrain", 5e25)
    )
    (route,) = every(lifecycle).routes
    assert route.name == "model expansion"
    found = under(lifecycle, "us-eo14110")
    assert found.readings is not None
    assert (found.readings.chosen, found.readings.lowest.side) == ("over", "under")


def test_inference_is_on_an_axis_of_its_own() -> None:
    trained = exactly("pretrain", 9e25)
    served = exactly("deployment", 1e28, "answers", samples_per_answer=64.0)
    assert _sums(trained) == _sums(trained, served)
    (route,) = every(life(trained, served)).routes
    assert (route.name, route.times, route.decides, route.counted) == (
        "above-optimal inference",
        64.0,
        (),
        (),
    )
    (said,) = [note for note in notes(every(life(trained, served))) if note.startswith("above-optimal")]
    assert "64 samples an answer. No rule counts it." in said
    assert not every(life(trained, exactly("deployment", 1e28))).routes


def test_the_four_routes_are_told_apart() -> None:
    found = _routes(
        exactly("base_weights", 1e24, "tuned", by="others", how="fine-tuned"),
        exactly("base_weights", 1e24, "merged", by="others", how="merged"),
        exactly("base_weights", 1e24, "grown", by="us", how="expanded"),
        exactly("deployment", 1e24, "answers", samples_per_answer=2.0),
        exactly("pretrain", 1e24),
    )
    assert set(found) == {"fine-tuning", "model reuse", "model expansion", "above-optimal inference"}


# ---------------------------------------------------------------- what must always hold

_STAGES = st.lists(
    st.builds(
        lambda kind, value, spread: (kind, Estimate(value, value / spread, value * spread)),
        st.sampled_from(sorted(KINDS)),
        st.floats(1e20, 1e27),
        st.floats(1.0, 10.0),
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=5)
@given(_STAGES, st.randoms())
def test_order_changes_nothing_and_more_compute_never_leads_back_under_a_line(
    drawn: list[tuple[str, Estimate]], rng: object
) -> None:
    stages = [Stage(kind, f"{place}", flop) for place, (kind, flop) in enumerate(drawn)]
    shuffled = list(stages)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    more = [*stages, exactly("pretrain", 1e26, "more")]
    order = {"under": 0, "undecided": 1, "over": 2}
    for first, second, third in zip(
        *(every(life(*each)).findings for each in (stages, shuffled, more)), strict=True
    ):
        assert first.side == second.side
        if first.rule.measure == "flop" and first.side != "not asked":
            assert first.candidates[0].amount.value == pytest.approx(second.candidates[0].amount.value)
            assert order[third.chosen_side] >= order[first.chosen_side]
        for finding in (first, second, third):
            _readings_bound_the_one_chosen(finding, order)
        for each in (f.amount for f in first.candidates):
            assert each.low <= each.value <= each.high


def _readings_bound_the_one_chosen(finding: Finding, order: Mapping[str, int]) -> None:
    readings = finding.readings
    if readings is None:
        return
    ends = (readings.lowest, readings.highest)
    amounts = [each.amount.value for each in finding.candidates]
    assert ends[0].amount.value <= min(amounts) * (1 + 1e-12)
    assert max(amounts) <= ends[1].amount.value * (1 + 1e-12)
    assert order[ends[0].side] <= order[readings.chosen] <= order[ends[1].side]


def test_estimates_add_and_multiply_by_their_ends() -> None:
    a, b = Estimate(2.0, 1.0, 4.0), Estimate(3.0, 2.0, 5.0)
    assert a + b == Estimate(5.0, 3.0, 9.0)
    assert a * b == Estimate(6.0, 2.0, 20.0)
    assert total([]) == Estimate.point(0.0)
    assert Estimate(10.0, 9.0, 20.0).widened(0.3) == Estimate(10.0, 7.0, 20.0)


def test_the_document_has_no_number_that_json_lacks() -> None:
    import json

    account = every(life(exactly("pretrain", 2e25), exactly("sft", None)))
    document = json.loads(json.dumps(to_json(account, ()), allow_nan=False))
    assert document["schema"] == "ponder.account/1"
    assert [each["rule"] for each in document["rules"]] == [rule.id for rule in every_rule()]
    assert document["stages"][1]["flop_by_architecture"] is None
    assert document["on"] == ON.isoformat()
