"""Part of section 3 of the page of findings: which form of the joint law foretells."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean

from docs.findings_ladder import STRATEGIES
from docs.findings_words import Result, counted, listed
from docs.training_pages import table

__all__ = ["forms_finding", "forms_table"]

_TOLD = 0.01  # of accuracy: what a ceiling must change for the page to say so
_SPLITS = ("misses", "inner", "outer", "largest")


def forms_table(forms: Result) -> str:
    """Every form's errors in the mean over tasks and strategies, without a ceiling and with one."""
    rows = [
        [name, _both(own, "parameters"), *(_both(own, split) for split in _SPLITS), _both(own, "laws")]
        for name, own in _by_name(forms["means"]).items()
    ]
    for name, errors in (forms["unchanged"] or {}).items():
        rows.append([f"nothing changes: {name}", "–", "–", *(_points(errors[x]) for x in _SPLITS[1:]), "–"])
    head = ("form", "parameters", "misses", "inner", "outer", "largest size", f"laws of {len(_told(forms))}")
    return table(head, rows)


def forms_finding(forms: Result) -> str:
    """What the inner forecast chooses, what that is good for, and what a ceiling does."""
    rows, means = _told(forms), forms["means"]
    if not rows:
        return ""
    best = {split: min(means, key=lambda each: each[split]) for split in _SPLITS}
    unchanged = forms["unchanged"]["best of the others"]["outer"]
    chosen = [next(each for each in row["forms"] if _is(each, row["chosen"])) for row in rows]
    said = [
        f"In the mean over {counted(len(rows), 'pair')} of task and strategy the inner forecast chooses "
        f"{_named(best['inner'])} ({_points(best['inner']['inner'])} points), whose outer error is "
        f"{_points(best['inner']['outer'])}; the least outer error is that of {_named(best['outer'])} "
        f"({_points(best['outer']['outer'])}), and saying that nothing changes misses by "
        f"{_points(unchanged)}.",
        f"Chosen pair by pair, forms have an outer error of {_points(mean(x['outer'] for x in chosen))} in "
        f"the mean, and {sum(x['word'] == 'law' for x in chosen)} of {len(chosen)} are a law.",
        _ceilings(rows),
        f"Where it was fitted {_named(best['misses'])} misses least "
        f"({_points(best['misses']['misses'])} points); the largest size, held back, is foretold best by "
        f"{_named(best['largest'])} ({_points(best['largest']['largest'])}).",
        _of_samples(rows),
        "The forms were set against each other after every checkpoint had been seen: the inner choice is "
        "blind to what is held back, the list of forms is not.",
    ]
    return "\n".join(f"- {each}" for each in said if each)


def _told(forms: Result) -> list[Result]:
    return [row for row in forms["rows"] if "forms" in row]


def _by_name(means: Sequence[Result]) -> dict[str, list[Result]]:
    found: dict[str, list[Result]] = {}
    for each in means:
        found.setdefault(each["form"], []).append(each)
    return found


def _both(own: Sequence[Result], name: str) -> str:
    """Without a ceiling, and with one where the form has such."""
    told = (str(each[name]) if name in ("parameters", "laws") else _points(each[name]) for each in own)
    return " / ".join(told)


def _points(error: float) -> str:
    return f"{100 * error:.1f}"


def _named(each: Result) -> str:
    return f"*{each['form']}*{' with a ceiling' if each['ceiling'] else ''}"


def _is(each: Result, chosen: Result) -> bool:
    return (each["form"], each["ceiling"]) == (chosen["form"], chosen["ceiling"])


def _ceilings(rows: Sequence[Result]) -> str:
    """What a ceiling changes in the outer error, in the mean over the forms that are fitted both ways."""
    better, worse = [], []
    for row in rows:
        pairs = [own for own in _by_name(row["forms"]).values() if len(own) == 2]
        before, after = (mean(own[at]["outer"] for own in pairs) for at in (0, 1))
        lower = sum(own[1]["outer"] < own[0]["outer"] for own in pairs)
        words = (
            f"`{row['task']}` {STRATEGIES[row['strategy']]} (from {_points(before)} to {_points(after)}, "
            f"lower for {lower} of {len(pairs)} forms)"
        )
        if abs(after - before) >= _TOLD:
            (better if after < before else worse).append(words)
    said = f"A ceiling lowers the outer error of {listed(better) or 'none'}"
    return f"{said}, and raises that of {listed(worse)}." if worse else f"{said}."


def _of_samples(rows: Sequence[Result]) -> str:
    """The beta-binomial form beside the log-linear one, over the pairs that have it."""
    own = [row for row in rows if any(each["form"] == "beta-binomial" for each in row["forms"])]
    if not own:
        return ""
    inner, outer = (
        [
            _points(mean(next(x[split] for x in row["forms"] if _is(x, which)) for row in own))
            for which in (_BETA, _PLAIN)
        ]
        for split in ("inner", "outer")
    )
    return (
        f"For any right a *beta-binomial* form in k has an inner error of {inner[0]} and an outer one of "
        f"{outer[0]} in the mean over {counted(len(own), 'task')}; *log-linear* with a ceiling {inner[1]} "
        f"and {outer[1]}."
    )


_BETA = {"form": "beta-binomial", "ceiling": True}
_PLAIN = {"form": "log-linear", "ceiling": True}
