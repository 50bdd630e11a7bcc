"""The four findings, each a sentence that says what it means and the figures that bear it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from docs import findings_draws as by_draws
from docs import findings_gains as by_gains
from docs import findings_guessing as by_guessing
from docs import findings_ladder as by_ladder
from docs.findings_words import (
    STEPS,
    Result,
    counted,
    figure,
    listed,
    percent,
    points,
    power,
    side,
    size_name,
    times,
)
from ponder.report.words import compact

__all__ = ["findings"]


def findings(coverage: Result, family: Result, gains: Result, guessing: Result) -> str:
    """By the task that the ladder was made for."""
    told = {
        "Scaling law": [*_scaling(family), *_samples(coverage), *_guesses(guessing)],
        "Exchange rate": list(_exchange(family)),
        "Compute-equivalent gain": list(_gains(gains)),
        "Interaction": list(_interaction(family)),
    }
    return "\n".join(
        line
        for number, (name, said) in enumerate(told.items(), 1)
        for line in (
            f"{number}. **{name}.** {(said or ['Unknown.'])[0]}",
            *(f"   - {each}" for each in said[1:]),
        )
    )


# ---------------------------------------------------------------- scaling law


def _scaling(family: Result) -> Iterator[str]:
    fits = by_ladder.told(family)
    if not fits:
        yield "Over size, training and samples no joint law could be fitted."
        return
    laws = [_of(each) for each in fits if each["word"] == "law"]
    yield (
        f"Of {counted(len(fits), 'joint fit')} of size, training and samples {len(laws) or 'none'} may be "
        "called a law by what it foretells of the checkpoints of most training"
        f"{f': {listed(laws)}. The others are trends' if laws else ''}.{_margin(fits)}"
    )
    for strategy in by_ladder.STRATEGIES:
        study = by_ladder.of(family, STEPS, strategy)
        if study is not None:
            yield _fitted(by_ladder.STRATEGIES[strategy], study)


def _margin(fits: Sequence[Result]) -> str:
    """How thinly the laws pass."""
    ahead = [each["forecast"] for each in fits if each["word"] == "law"]
    margins = sorted(100 * (each["baseline"] - each["error"]) for each in ahead)
    if not margins:
        return ""
    ends = dict.fromkeys(f"{each:.1f}" for each in (margins[0], margins[-1]))
    return f" They foretell better than saying that nothing changes by {' and '.join(ends)} points."


def _of(study: Result) -> str:
    return f"{by_ladder.STRATEGIES[study['strategy']]} on `{study['task']}`"


def _fitted(words: str, study: Result) -> str:
    """A law's coefficients; those of a trend are not to be told by themselves."""
    law, ahead = study["law"], study["forecast"]
    missed = f"misses the checkpoints that it was fitted to by {100 * study['misfit']:.1f} points"
    if ahead is not None:
        missed += (
            f", and those of most training, held back, by {100 * ahead['error']:.1f} (saying that nothing "
            f"changes any more: {100 * ahead['baseline']:.1f})"
        )
    head = f"{words.capitalize()} on `{study['task']}`: this {study['word']}"
    if study["word"] != "law":
        return f"{head} {missed}, so its coefficients are not told here."
    size, tokens = (f"{figure(law[name])} ({_without(study, name)})" for name in ("size", "tokens"))
    return (
        f"{head} says, for one sample, {size} logits more for ten times the parameters and {tokens} for ten "
        f"times the training tokens{_capped(study)}; in round brackets with each size left out in turn. It "
        f"{missed}."
    )


def _without(study: Result, name: str) -> str:
    """The least and the largest value of a coefficient with each size left out in turn."""
    values = [each["law"][name]["value"] for each in study["without_size"] if each["law"] is not None]
    return f"{min(values):.3g} to {max(values):.3g}"


def _capped(study: Result) -> str:
    ceiling = study["law"]["ceiling"]
    if not study["ceiling"]["fitted"]:
        return ""
    if study["ceiling"]["is_bound"]:
        return (
            f", below a cap of {100 * ceiling['value']:.1f} %, the lowest that was tried (just below the "
            "highest mean; the fit would go lower)"
        )
    return f", below a ceiling of {percent(ceiling)} %"


def _samples(coverage: Result) -> Iterator[str]:
    """What the best law of coverage does beside the Beta-binomial one, however far it was asked to look."""
    groups = [each for each in by_draws.wholes(coverage) if each["task"] == STEPS]
    for group in sorted(groups, key=lambda each: each["samples"], reverse=True):
        best = by_draws.best_law(group)
        if best is None:
            continue
        known = listed([str(each) for each in group["fitted_to"]])
        laws = [
            f"{name} misses by {percent(group['laws'][name]['median_error'])} %, which chance explains at "
            f"{group['laws'][name]['passed']}"
            for name in dict.fromkeys((best, by_draws.BETA))
        ]
        yield (
            f"−log pass@{group['samples']:,} on `{group['task']}`, foretold from {known} draws a problem, in "
            f"the median of {counted(group['sources'], 'checkpoint')}: {'; '.join(laws)}."
        )
    winners = {by_draws.best_law(each) for each in by_draws.wholes(coverage) if by_draws.shown(each)}
    yield (
        "No law of coverage is best on every task." if len(winners) > 1 else "One law is best on every task."
    )


def _guesses(guessing: Result) -> Iterator[str]:
    for each in by_guessing.beside_guesses(guessing):
        yield f"Beside guesses that know no more than the form of an answer: {each[0].lower()}{each[1:]}"


# ---------------------------------------------------------------- exchange


def _exchange(family: Result) -> Iterator[str]:
    rates = {
        strategy: levels
        for strategy in by_ladder.STRATEGIES
        if (levels := by_ladder.rated(family, STEPS, strategy, "measured"))
    }
    every = [rate for levels in rates.values() for _, rate in levels]
    if not every:
        yield "Unknown: too few checkpoints lie on a contour."
        return
    ends = min(every, key=lambda rate: rate["value"]), max(every, key=lambda rate: rate["value"])
    sides = [_even(rate) for rate in every]
    sure = len(sides) - sides.count("open")
    yield (
        f"To reach the same accuracy on `{STEPS}`, ten times the training is worth {_times(ends[0])} to "
        f"{_times(ends[1])} the inference, by strategy and accuracy, along a straight line in logs through "
        f"the checkpoints themselves. {sure or 'None'} of the {len(sides)} rates "
        f"{'differs' if sure == 1 else 'differ'} surely from 10×, that is from a tenfold for a tenfold."
    )
    for strategy in rates:
        told = listed(list(_rates(by_ladder.of(family, STEPS, strategy))))
        yield f"{by_ladder.STRATEGIES[strategy].capitalize()}: {told}."


def _rates(study: Result | None) -> Iterator[str]:
    for level in study["levels"] if study is not None else ():
        measured = level["measured"]
        if measured["rate"] is not None:
            yield (
                f"{power(measured['rate'])} at {100 * level['accuracy']:.0f} % right, through "
                f"{len(measured['contour'])} checkpoints that span {measured['training_span']:.1f} decades "
                f"of training ({by_ladder.without_one(measured)} with one of them left out)"
            )


def _even(rate: Result) -> str:
    """Against ten times the inference for ten times the training: a rate of 1, in decades."""
    return side({end: rate[end] - 1.0 for end in ("low", "high")}, "more", "less", "open")


def _times(rate: Result) -> str:
    return power(dict.fromkeys(("value", "low", "high"), rate["value"]))


# ---------------------------------------------------------------- compute-equivalent gain


def _gains(gains: Result) -> Iterator[str]:
    studies = [(study, by_gains.right_enough(study)) for study in by_gains.of_task(gains, STEPS)]
    known = [(study, models) for study, models in studies if models]
    if not known:
        return
    by_verdict: dict[str, list[str]] = {}
    for study, models in known:
        by_verdict.setdefault(_verdict(models), []).append(by_gains.enhancement(study))
    said = [f"{each}: {listed(by_verdict[each])}" for each in _WORTH if each in by_verdict]
    yield (
        f"At most checkpoints that are right one time in a hundred on `{STEPS}`, surely {'; '.join(said)}."
        f"{_late(gains)}"
    )
    yield from (_gain(*each) for each in known)
    curated = by_gains.curated_finding(gains, STEPS)
    if curated is not None:
        yield curated


_WORTH = ("worth more training", "worth less", "worth less early and more late", "neither")


def _verdict(models: Sequence[Result]) -> str:
    """By the measured plain models; early and late in the order of training compute."""
    more, less = (by_gains.surely(models, *path) for path in by_gains.EQUAL)
    if 2 * len(more) > len(models):
        return _WORTH[0]
    if 2 * len(less) > len(models):
        return _WORTH[1]
    took = [[float(each["training_flop"]) for each in some] for some in (less, more)]
    return _WORTH[2] if all(took) and max(took[0]) < min(took[1]) else _WORTH[3]


def _late(gains: Result) -> str:
    pairs = by_gains.pairs_of(gains, STEPS)
    if not pairs:
        return ""
    return f" Curated texts in place of plain ones, at the end of training: {by_gains.most_trained(pairs)}."


def _gain(study: Result, models: Sequence[Result]) -> str:
    known = sorted((each["gain"] for each in models if each["gain"]), key=lambda gain: float(gain["value"]))
    by_law = "By the sigmoid through plain models it is undefined in all"
    if known:
        ends = list(dict.fromkeys((times(known[0]), times(known[-1]))))
        undefined = len(models) - len(known)
        by_law = (
            f"By the sigmoid through plain models {' to '.join(ends)} the training, undefined in {undefined}"
        )
    more, less, above = (by_gains.both(models, *path) for path in (*by_gains.EQUAL, by_gains.ABOVE))
    own_more, own_less = (by_gains.both(models, *path) for path in by_gains.OWN)
    named = f"{by_gains.enhancement(study).capitalize()}, at {counted(len(models), 'checkpoint')}"
    beside, own = "the checkpoint's own training", ""
    if study["enhancement"] in ("vote", "pass"):
        own = f"; than {beside} more in {own_more}, less in {own_less}"
        beside = "the cheapest plain model as good as one sample of it took"
    return (
        f"{named}: surely worth more than {beside} in {more}, less in {less}{own}; better than any plain "
        f"model there is in {above}; in round brackets as measured. {by_law}. It takes "
        f"{by_gains.dearer(study)} the inference."
    )


# ---------------------------------------------------------------- interaction


def _interaction(family: Result) -> Iterator[str]:
    studies = {name: by_ladder.of(family, STEPS, name) for name in by_ladder.STRATEGIES}
    known = {name: study for name, study in studies.items() if study is not None}
    if not known:
        return
    sides = {
        side(each["measured"], "larger", "smaller", "")
        for study in known.values()
        for each in study["gains"]
        if each["measured"] is not None
    } - {""}
    depends = (
        "whether larger models gain more from inference depends on strategy, scale and what is held equal"
    )
    alike = (
        f"{next(iter(sides), 'neither larger nor smaller')} models gain more from inference where it is sure"
    )
    yield f"On `{STEPS}`, as measured and without a law, {depends if len(sides) > 1 else alike}."
    for name, study in known.items():
        yield from (_gained(by_ladder.STRATEGIES[name], study, equal) for equal in ("samples", "FLOP"))
    yield from _luck(known)
    needs = [_verdicts(*each) for each in by_ladder.by_need(family).items()]
    yield (
        "Of all measured comparisons (in logits and in points, at equal samples and at equal FLOP) larger "
        f"models surely gain more, surely less: {'; '.join(needs)}."
    )


def _gained(words: str, study: Result, equal: str) -> str:
    """As measured, for the two sizes that are compared."""
    logits, shares = (
        next(each for each in study["gains"] if (each["scale"], each["equal"]) == (scale, equal))
        for scale in ("logit", "probability")
    )
    if shares["measured"] is None:
        return f"{words.capitalize()}, equal {equal}: unknown."
    larger, smaller = size_name(shares["larger"]), size_name(shares["smaller"])
    of = study["unit"] if equal == "samples" else "FLOP"
    tokens = " and ".join(compact(each) for each in reversed(shares["tokens"]))
    by_seed = " and ".join(f"{100 * each:+.1f}" for each in shares["seeds"])
    return (
        f"{words.capitalize()}, from {compact(shares['least'])} to {compact(shares['most'])} {of}: {larger} "
        f"parameters gain {points(shares['measured'])} points and {figure(logits['measured'])} logits more "
        f"than {smaller} do{f' ({by_seed} points by seed)' if by_seed else ''}, after {tokens} tokens of "
        "training."
    )


def _luck(studies: Mapping[str, Result]) -> Iterator[str]:
    """What the seeds of the smallest size come to, the largest known part of the luck."""
    study = studies.get("pass")
    rows = [] if study is None else study["seeds"]
    if not rows:
        return
    smallest = min(row["size"] for row in rows)
    *_, before, last = sorted((row for row in rows if row["size"] == smallest), key=lambda row: row["tokens"])
    ends, earlier = (
        " and ".join(f"{100 * each:.1f}" for each in sorted(row["models"].values())) for row in (last, before)
    )
    yield (
        f"Luck of training: two runs of {size_name(smallest)} parameters that differ in their seed alone end "
        f"with any of {last['amount']:.0f} right on {ends} % of the problems, and one checkpoint earlier on "
        f"{earlier} %. Of two seeds a bracket spans hardly more than from one to the other, and the sizes "
        "above 28 thousand have one seed each, whose luck is in no bracket."
    )


def _verdicts(need: str, gains: Sequence[Result]) -> str:
    known = [each["measured"] for each in gains if each["measured"] is not None]
    sides = [side(each, "more", "less", "open") for each in known]
    return f"{need} {sides.count('more')}, {sides.count('less')} of {len(known)}"
