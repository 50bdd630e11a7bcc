"""The four findings, each a sentence that says what it means and the figures that bear it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from docs import findings_draws as by_draws
from docs import findings_gains as by_gains
from docs import findings_ladder as by_ladder
from docs.findings_words import STEPS, Result, counted, figure, listed, percent, power, side, size_name, times

__all__ = ["findings"]


def findings(coverage: Result, family: Result, gains: Result) -> str:
    """By the task that the ladder was made for."""
    told = {
        "Scaling law": [*_scaling(family), *_samples(coverage)],
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
        f"{f': {listed(laws)}. The others are trends' if laws else ''}."
    )
    for strategy in by_ladder.STRATEGIES:
        study = by_ladder.of(family, STEPS, strategy)
        if study is not None:
            yield _fitted(by_ladder.STRATEGIES[strategy], study)


def _of(study: Result) -> str:
    return f"{by_ladder.STRATEGIES[study['strategy']]} on `{study['task']}`"


def _fitted(words: str, study: Result) -> str:
    law, ahead = study["law"], study["forecast"]
    bound = "" if law["ceiling"]["value"] == 1.0 else f" below a ceiling of {percent(law['ceiling'])} %"
    held = (
        ""
        if ahead is None
        else f", and those of most training, held back, by {100 * ahead['error']:.1f} (saying that nothing "
        f"changes any more: {100 * ahead['baseline']:.1f})"
    )
    return (
        f"{words.capitalize()} on `{study['task']}`, with the least inference: {figure(law['size'])} logits "
        f"more for ten times the parameters, {figure(law['tokens'])} for ten times the training "
        f"tokens{bound}. This {study['word']} misses the checkpoints that it was fitted to by "
        f"{100 * study['misfit']:.1f} points{held}."
    )


def _samples(coverage: Result) -> Iterator[str]:
    """What the best law of coverage does beside the Beta-binomial one."""
    group = by_draws.reasoning(coverage)
    best = by_draws.best_law(group)
    if best is None:
        return
    known = listed([str(each) for each in group["fitted_to"]])
    names = dict.fromkeys((best, by_draws.BETA))
    laws = [
        f"{name} misses by {percent(group['laws'][name]['median_error'])} %, which chance explains at "
        f"{group['laws'][name]['passed']}"
        for name in names
    ]
    winners = {by_draws.best_law(each) for each in by_draws.wholes(coverage) if by_draws.shown(each)}
    yield (
        f"−log pass@{group['samples']:,} on `{group['task']}`, foretold from {known} draws a problem, in "
        f"the median of {counted(group['sources'], 'checkpoint')}: {'; '.join(laws)}. "
        + ("No law is best on every task." if len(winners) > 1 else f"{best} is best on every task.")
    )


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
    yield (
        f"To reach the same accuracy on `{STEPS}`, ten times the training is worth {_times(ends[0])} to "
        f"{_times(ends[1])} the inference, as measured and without a law, by strategy and accuracy. Whether "
        f"that is more than an even exchange (10×) is open at {sides.count('open')} of {len(sides)} places: "
        "few checkpoints lie on a contour, and the intervals are wide."
    )
    for strategy, levels in rates.items():
        told = listed([f"{power(rate)} at {100 * at:.0f} % right" for at, rate in levels])
        yield f"{by_ladder.STRATEGIES[strategy].capitalize()}: {told}."


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
        yield _gained(by_ladder.STRATEGIES[name], study)
    needs = [_verdicts(*each) for each in by_ladder.by_need(family).items()]
    yield (
        "Of all measured comparisons (in logits and in points, at equal samples and at equal FLOP) larger "
        f"models surely gain more, surely less: {'; '.join(needs)}."
    )


def _gained(words: str, study: Result) -> str:
    sizes = [each["size"] for each in study["own_training_in_amounts"]]
    logits, shares, logits_flop, shares_flop = by_ladder.compared(study, "measured")
    return (
        f"{words.capitalize()}: {size_name(max(sizes))} parameters gain {shares} points and {logits} logits "
        f"more than {size_name(min(sizes))} do at equal samples; at equal FLOP larger ones gain "
        f"{shares_flop} points and {logits_flop} logits more. The joint fit's c is "
        f"{figure(study['law']['size x amount'])}."
    )


def _verdicts(need: str, gains: Sequence[Result]) -> str:
    known = [each["measured"] for each in gains if each["measured"] is not None]
    sides = [side(each, "more", "less", "open") for each in known]
    return f"{need} {sides.count('more')}, {sides.count('less')} of {len(known)}"
