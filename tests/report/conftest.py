"""A realistic synthetic measurement."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ponder.core import Usage
from ponder.measure.curve import Curve, Example, Measurement, Point, TaskResult, Timing
from ponder.measure.estimators import best, coverage, default_ks, vote
from ponder.measure.intervals import resample

PLANTED = (
    '<script>window.pwned=1</script><img src=x onerror="window.pwned=2"> </script> \u2028 \x1b[31m \ud800 '
    "{{ 7*7 }} [bold]markup[/bold]"
)

# name, title, how hard (Beta), best constant guess, tokens of a prompt and of a sample
TASKS = (
    ("chain_sum_2", "Sum of two digits", (2.4, 1.7), 0.125, 132, 18),
    ("chain_sum_3", "Sum of three digits", (0.7, 2.2), 0.094, 139, 27),
    ("lcm", "Least common multiple to 12", (0.8, 2.0), 0.156, 121, 31),
    ("products", "Products of two digits", (0.9, 1.2), 0.063, 118, 20),
    ("addition", "Two-digit addition", (1.1, 1.4), 0.031, 127, 23),
    ("countdown", "Countdown: reach a target with 3 numbers", (0.3, 3.0), None, 214, 34),
)
FLOP_PER_TOKEN = 2.7e8


def _curve(task, strategy, values, ks, prompt, length, *, oracle=False, flop=True, tokens=True):
    low, high = resample(values, rng=np.random.default_rng(0))
    spent = [prompt + length * k for k in ks]
    return Curve(
        task=task,
        strategy=strategy,
        points=tuple(
            Point(
                k,
                float(a),
                float(lo),
                float(hi),
                float(t) if tokens else None,
                t * FLOP_PER_TOKEN if flop else None,
            )
            for k, a, lo, hi, t in zip(ks, values.mean(axis=0), low, high, spent, strict=True)
        ),
        oracle=oracle,
    )


def _task(index, *, problems, samples, **known):
    name, title, (a, b), constant, prompt, length = TASKS[index]
    rng = np.random.default_rng(index)
    chance = rng.beta(a, b, (problems, 1))
    correct = rng.random((problems, samples)) < chance
    wrong = rng.integers(1, 9, (problems, samples))
    choice = np.where(correct, 0, np.where(rng.random((problems, samples)) < 0.06, -1, wrong))
    # Only countdown states what its answer must fulfil, so that choosing by its checks reaches coverage.
    by = "checks" if name == "countdown" else "likelihood"
    score = correct.astype(float) if by == "checks" else rng.normal(correct * 0.9, 1.0)
    ks = default_ks(samples)
    direct = (rng.random((problems, 1)) < chance * 0.4).astype(float)
    curves = (
        _curve(name, "direct", direct, (1,), 60, 3, **known),
        _curve(name, "vote", vote(choice, correct, ks), ks, prompt, length, **known),
        _curve(name, f"best by {by}", best(score, correct, ks), ks, prompt, length, **known),
        _curve(name, "coverage", coverage(correct, ks), ks, prompt, length, oracle=True, **known),
    )
    texts = tuple((f"7 + {i} = {7 + i}.\nThe answer is {7 + i}.", str(7 + i), i == 4) for i in range(3, 6))
    example = Example("What is 7 + 4?", "11", (*texts, ("I do not know, I am a model.", None, False)))
    return TaskResult(
        task=name,
        title=title,
        problems=problems,
        samples=samples,
        constant=constant,
        constant_guess=None if constant is None else "12",
        curves=curves,
        examples=(example,),
        prompt="Q: What is 3 + 5?\nA: 3 + 5 = 8. The answer is 8.\n\nQ: {question}\nA:",
    )


def build(*, tasks=5, problems=32, samples=32, planted=False, title=None, **known) -> Measurement:
    """`known`: tokens=False or flop=False leaves that axis unknown. `planted` adds hostile model text,
    `title` replaces the first task's."""
    results = tuple(_task(i, problems=problems, samples=samples, **known) for i in range(tasks))
    if title is not None:
        results = (replace(results[0], title=title), *results[1:])
    if planted:
        first = results[0]
        hostile = Example(PLANTED, PLANTED, ((PLANTED, PLANTED, False),))
        results = (
            TaskResult(
                task=PLANTED,
                title=PLANTED,
                problems=first.problems,
                samples=first.samples,
                constant=first.constant,
                constant_guess=PLANTED,
                curves=first.curves,
                examples=(hostile,),
                prompt=PLANTED,
            ),
            *results[1:],
        )
    usage = Usage(
        calls=tasks * problems * 2,
        samples=tasks * problems * (samples + 1),
        prompt_tokens=tasks * problems * 190,
        cached_tokens=None,
        completion_tokens=tasks * problems * samples * 24,
        reasoning_tokens=0,
        flop=4.1e13 if known.get("flop", True) else None,
        seconds=412.5,
        usd=None,
    )
    return Measurement(
        run="demo-7f3a",
        created=1_764_000_000.0,
        config={
            "model": PLANTED if planted else "SmolLM2-135M-Instruct",
            "samples": samples,
            "problems": problems,
            "sampling": {"temperature": 0.8, "top_p": 1.0},
            "strategies": ["vote", "best"],
            "seed": 0,
        },
        tasks=results,
        usage=usage,
        new_usage=usage,
        tokens_per_second=734.2,
        timings=(
            Timing("weights", 3.1),
            Timing("sampling", 168.0),
            Timing("grading", 9.4),
            Timing("estimates", 1.2),
        ),
        flop_method="shape",
        ledger_head="9c1f" * 16,
        reproducible="A rerun replays the recorded samples to the same numbers; new samples differ.",
        notes=(PLANTED,) if planted else ("Cached tokens are unknown for this engine.",),
    )


@pytest.fixture(scope="session")
def measurement() -> Measurement:
    return build()


@pytest.fixture(scope="session")
def build_measurement():
    """The builder, for a test that needs a measurement of another kind."""
    return build
