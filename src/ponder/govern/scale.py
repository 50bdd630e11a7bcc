"""Deployment scale: what a fleet of chips carries, as workers, users, or people who are watched.

Tokens/s come from the roofline (`roofline`, `fleet`), samples and accuracy of an effort from a law
(`efforts`). No law of another model tells how long the served model's samples are: that is given, or had from
the minutes that a person takes. Work is counted in chip-seconds: tokens read over the rate of prefill and
tokens generated over that of decode.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ponder.govern.actors import ACTOR_GROUP, ACTOR_INPUTS, actor_outputs, actor_table, owned
from ponder.govern.calculator import Calculator, Choice, Floats, Input, Output, Row, Settings, Table
from ponder.govern.efforts import (
    BUDGETED,
    EFFORTS,
    SampleLength,
    accuracy_of,
    measure_efforts,
    most_samples,
    samples_of,
)
from ponder.govern.fleet import CHIP_CHOICES, CHIP_INPUTS, DAY, MODEL_INPUTS, Fleet, fleet_of
from ponder.govern.frontier import (
    Work,
    budget_notes,
    frontier_notes,
    frontier_tables,
    sample_tokens,
    what_moves_workers,
    what_workers_rest_on,
)
from ponder.govern.roofline import training_fleet_rate

__all__ = ["CALCULATOR"]

Inputs = Mapping[str, Floats]

_MILLION = 1e6

WORK_INPUTS = (
    Input("prompt_tokens", "token", "Tokens of a task's prompt", "300..3000", why="a page or a few"),
    Input(
        "sample_tokens",
        "token",
        "Tokens that one sample generates; where unknown, from the minutes that a person takes",
        optional=True,
    ),
    Input(
        "task_minutes", "min", "Minutes that a person takes for it", "10", why="an example; give the task's"
    ),
    Input(
        "minute_tokens",
        "token",
        "Tokens of one sample for a person's minute",
        Row("scale", "task", "tokens_of_a_minute"),
    ),
    Input(
        "length_exponent",
        "",
        "The power by which tokens grow with the minutes",
        Row("scale", "task", "length_exponent"),
    ),
    Input("working_day", "h", "Hours that a person works in a day", "8", most=24.0, why="a working day"),
    Input(
        "question_tokens",
        "token",
        "Tokens that one sample on a user's question generates",
        "200..2000",
        why="an answer of a few paragraphs",
    ),
    Input("user_questions", "1/day", "Questions of a user in a day", Row("scale", "users", "questions")),
    Input("speech", "token/day", "What a person says in a day", Row("scale", "people", "speech")),
    Input("messages", "token/day", "What a person writes and is written", Row("scale", "people", "messages")),
    Input("video", "token/day", "What a camera on one person sees in a day", Row("scale", "people", "video")),
    Input(
        "watch_questions",
        "1/day",
        "Questions that are thought about for each person and day",
        "1",
        positive=False,
        least=0.0,
        why="an example: one judgement a day",
    ),
    Input("answer_value", "USD", "What a right answer is worth", optional=True),
    Input(
        "wrong_cost",
        "USD",
        "What a wrong answer costs",
        "0",
        positive=False,
        least=0.0,
        why="wrong answers are taken to do no harm",
    ),
    Input(
        "training_tokens",
        "token",
        "Tokens that the model was trained on",
        Row("published_models", "$model", "training_tokens"),
        optional=True,
    ),
    Input("training_days", "day", "Days in which it was trained", optional=True),
)


def work_of(x: Inputs, about: Settings) -> tuple[Fleet, Work]:
    """The fleet, and the work that it is put to, one unit each."""
    tokens = sample_tokens(x)
    fleet = fleet_of(x, about, x["prompt_tokens"], tokens)
    return fleet, Work(
        prompt=x["prompt_tokens"],
        sample=tokens,
        minutes=x["task_minutes"],
        working_day=x["working_day"],
        question=x["question_tokens"],
        user_questions=x["user_questions"],
        read={"messages": x["messages"], "speech": x["speech"], "video": x["video"]},
        watch_questions=x["watch_questions"],
    )


def _compute(x: Inputs, about: Settings) -> Mapping[str, Floats]:
    effort = about.choices["effort"]
    fleet, work = work_of(x, about)
    samples = samples_of(x, effort, work.sample)
    of_question = samples_of(x, effort, work.question)
    taken = work.task(fleet, samples)
    done = fleet.a_day(taken)
    workers = work.workers(done)
    users = fleet.a_day(work.user(fleet, of_question))
    people = {kind: fleet.a_day(work.person(fleet, kind, of_question)) for kind in work.read}
    seconds = fleet.latency(work.prompt, work.sample)
    serving = fleet.chips * fleet.serving
    generated = serving * fleet.layout.rate
    learnt = np.asarray(training_fleet_rate(x["training_tokens"], x["training_days"] * DAY))
    found = {
        "tokens_a_second": generated,
        "read_a_second": serving * fleet.prefill,
        "chips_of_an_instance": fleet.layout.width,
        "streams": generated / fleet.layout.speed,
        "stream_speed": fleet.layout.speed,
        "tasks_a_day": done,
        "tasks_at_once": done / DAY * seconds,
        "workers": workers,
        "tokens_of_a_sample": work.sample,
        "samples_of_a_task": samples,
        "speed": work.minutes * 60.0 / seconds,
        "accuracy": accuracy_of(x, effort, work.sample),
        "users": users,
        **{f"people_{kind}": each for kind, each in people.items()},
        "usd_a_task": fleet.usd(taken),
        "usd_a_million_tokens": fleet.usd(_MILLION / fleet.layout.rate),
        "kwh_a_task": fleet.joules(taken) / 3.6e6,
        "megawatts": fleet.watts * serving / 1e6,
        "chips_for_a_million_workers": _MILLION * fleet.chips / workers,
        "chips_for_a_million_users": _MILLION * fleet.chips / users,
        "chips_for_a_million_people_speech": _MILLION * fleet.chips / people["speech"],
        "training_fleet": learnt,
    }
    return found | owned(x, about, generated / fleet.chips, workers / fleet.chips)


OUTPUTS = (
    Output("workers", "persons", "Persons' working days of tasks that the fleet does in a day"),
    Output("tokens_of_a_sample", "token", "Tokens of one sample, on which that rests"),
    Output("samples_of_a_task", "", "Samples of a task at this effort, on which that rests"),
    Output("speed", "", "How many times as fast as a person one task is done"),
    Output("tasks_at_once", "", "Tasks that are in work at any moment, round the clock"),
    Output("tasks_a_day", "1/day", "Tasks that are done in a day, if it does nothing else"),
    Output("accuracy", "", "Share of the tasks that are done right at this effort"),
    Output("users", "persons", "Users whose questions it answers, if it does nothing else"),
    Output("people_messages", "persons", "People whose messages it reads, if it does nothing else"),
    Output("people_speech", "persons", "People all of whose speech it reads"),
    Output("people_video", "persons", "People whom it watches by camera"),
    Output("tokens_a_second", "token/s", "Tokens that it generates, if it only generates"),
    Output("read_a_second", "token/s", "Tokens that it reads, if it only reads"),
    Output("streams", "", "Streams that it generates at once"),
    Output("stream_speed", "token/s", "What one stream gets"),
    Output("chips_of_an_instance", "chip", "Chips that share one copy of the weights"),
    Output("usd_a_task", "USD", "What a task costs"),
    Output("usd_a_million_tokens", "USD", "What a million generated tokens cost"),
    Output("kwh_a_task", "kWh", "Energy of a task, with the site's"),
    Output("megawatts", "MW", "Power of the part of the fleet that serves, with the site's"),
    Output("chips_for_a_million_workers", "chip", "Chips that a million workers take"),
    Output("chips_for_a_million_users", "chip", "Chips that a million users take"),
    Output("chips_for_a_million_people_speech", "chip", "Chips that the speech of a million people takes"),
    Output("training_fleet", "token/s", "What the fleet that trained the model reads with it, as well used"),
    *actor_outputs(),
)


def _tables(x: Inputs, y: Mapping[str, Floats], about: Settings) -> Sequence[Table]:
    return (
        *frontier_tables(x, about, *work_of(x, about)),
        what_workers_rest_on(x, about, _workers),
        what_moves_workers(x, about, _workers),
        actor_table(x, y["workers"], about),
    )


def _workers(x: Inputs, about: Settings) -> Floats:
    fleet, work = work_of(x, about)
    return work.workers(fleet.a_day(work.task(fleet, samples_of(x, about.choices["effort"], work.sample))))


def _notes(x: Inputs, y: Mapping[str, Floats], about: Settings) -> Sequence[str]:
    notes = []
    fleet, work = work_of(x, about)
    effort = about.choices["effort"]
    misfit = float(np.isnan(y["workers"]).mean())
    if misfit:
        notes.append(
            f"In {misfit:.2%} of the draws the fleet does not serve the model: its weights do not fit, or "
            "no stream is as fast as least_speed. Give more chips, a lower least_speed or fp8."
        )
    if np.isnan(x[f"efforts.{effort}.samples"]).all() and most_samples(effort) > 1:
        notes.append(
            f"Every task is taken to use all {most_samples(effort):,.0f} samples that effort {effort} "
            "allows; a law (--law) tells how many are used."
        )
    if np.isnan(x["sample_tokens"]).all():
        notes.append(_length_of_samples(x, y, about))
    return (
        *notes,
        *budget_notes(x, about, work),
        *frontier_notes(x, about, fleet, work),
        "Workers grow with chips one for one only at the same model, effort, context and task: the table "
        "what_moves_workers says by how much each of them changes the number.",
        "A worker is a person's working day of this task, done by a fleet that finds as much work as it can "
        "do. Tools, waiting, checking and what cannot be done in tokens are not in it.",
        *_of_wrong_answers(y["accuracy"]),
    )


def _of_wrong_answers(accuracy: Floats) -> Sequence[str]:
    known = accuracy[~np.isnan(accuracy)]
    if not known.size:
        return ()
    return (f"Workers count answers, right or wrong: here {float(np.median(known)):.1%} of them are right.",)


def _length_of_samples(x: Inputs, y: Mapping[str, Floats], about: Settings) -> str:
    tokens = float(np.quantile(y["tokens_of_a_sample"], 0.5, method="inverted_cdf"))
    said = (
        f"A sample is taken to have {tokens:,.0f} tokens, by the {float(np.median(x['task_minutes'])):g} "
        "minutes that a person takes; --sample-tokens says it otherwise. That the source's tokens are one "
        "sample's, and not all that were spent on a task, is assumed."
    )
    law = about.measured.law if about.measured is not None else None
    if not isinstance(law, SampleLength):
        return said
    own = "" if law.tokens is None else f", whose own samples have {law.tokens:.3g} tokens"
    return (
        f"{said} The law says how many samples a task takes and how often they are right, not how long the "
        f"served model's are: it is of {law.model}{own}."
    )


CALCULATOR = Calculator(
    name="scale",
    title="What a fleet of chips carries: workers, users, people watched, by effort, cost and accuracy.",
    inputs=(*CHIP_INPUTS, *WORK_INPUTS, *MODEL_INPUTS, *ACTOR_INPUTS),
    outputs=OUTPUTS,
    compute=_compute,
    choices=(
        *CHIP_CHOICES,
        Choice("effort", "How much is spent on a task", "medium", options=tuple(e.word for e in EFFORTS)),
    ),
    groups=(BUDGETED, ACTOR_GROUP),
    tables=_tables,
    notes=_notes,
    law=measure_efforts,
)
