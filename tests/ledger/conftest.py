"""A ledger with a little of everything, and the pieces to make one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from ponder.core import Answer, Attempt, Message, Model, Prompt, Question, Request, Sample, Shape, Usage
from ponder.ledger import Ledger
from tests.ledger.places import Location
from tests.postgres import PostgresServer

MODEL = Model("tiny", "f" * 64, shape=Shape(2, 8, 2, 1, 4, 16, 100))


def ask(name: str) -> Question:
    prompt = Prompt((Message("user", f"What is {name}?"),), text=f"Q: {name}\nA:")
    return Question(name, f"What is {name}?", prompt, prompt, task="sums", data={"numbers": [1, 2]})


def attempt(
    samples: int,
    *,
    status: str = "ok",
    prompt: int | None = 10,
    made: int | None = None,
    flop: float | None = None,
) -> Attempt:
    usage = Usage(1, samples, prompt, 0, made if made is not None else 5 * samples, None, flop, 0.25, None)
    return Attempt(status, usage, 1.5e9, samples, "boom" if status == "failed" else None)  # type: ignore[arg-type]


def draws(first: int, count: int, **changes: object) -> list[Sample]:
    fields: dict[str, object] = {"choice": "7", "tokens": 5, "logprob": -0.1, "logprobs": (-0.05,) * 5}
    return [Sample(f"text {i}", index=i, **(fields | changes)) for i in range(first, first + count)]  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def question() -> Callable[[str], Question]:
    return ask


@pytest.fixture(scope="session")
def make_attempt() -> Callable[..., Attempt]:
    return attempt


@pytest.fixture(scope="session")
def make_draws() -> Callable[..., list[Sample]]:
    return draws


@pytest.fixture(scope="session")
def model() -> Model:
    return MODEL


async def _fill(ledger: Ledger) -> None:
    for run in ("one", "two"):
        problems = [(ask("3+4"), "7"), (ask("1+1"), None)]
        recorder = ledger.run(run, {"tasks": ["sums"], "samples": 2, "who": run}, problems, {"solver": MODEL})
        for problem, _ in problems:
            request = Request(problem.prompt, n=2, seed=2**70)
            attempts = [attempt(0, status="failed", prompt=None), attempt(2)]
            await recorder.record(problem, "s", "solver", request, attempts, draws(0, 2, reasoning="hm"))
            await recorder.grade("exact", [(problem.id, "s", 0, True), (problem.id, "s", 1, False)])
            await recorder.answer(problem, "vote", Answer("7", "text 0", 0.5), Usage(1, 2), "tokens")
        recorder.stage("sft", model="tiny", tokens=7, flop=1e9, seconds=0.5, device="cpu", started=1.5e9)
        recorder.stage("rollouts", model="tiny", seconds=None, device=None, started=None, detail={"n": 4})
        recorder.event("finished", {"note": "é \ud800"})


def make_full(place: Location) -> Location:
    """A ledger with at least two rows in every table. Copy it before you change it."""
    with Ledger.open(place, write=True) as ledger:
        asyncio.run(_fill(ledger))
    return place


@pytest.fixture(scope="session")
def full_file(tmp_path_factory: pytest.TempPathFactory) -> Location:
    return make_full(tmp_path_factory.mktemp("full") / "ledger.db")


@pytest.fixture(scope="session")
def full_postgres(postgres: PostgresServer) -> Location:
    return make_full(postgres.url())


@pytest.fixture(scope="session", params=["file", "postgres"])
def full(request: pytest.FixtureRequest) -> Location:
    """In each database a ledger with at least two rows in every table. Copy it before you change it."""
    place: Location = request.getfixturevalue(f"full_{request.param}")
    return place


@pytest.fixture(params=["file", "postgres"])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Location]:
    """Where a ledger may be made, by a name, in each database."""
    if request.param == "file":
        return lambda name: tmp_path / "new" / "folder" / f"{name}.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    known: dict[str, str] = {}
    return lambda name: known.setdefault(name, server.url())


@pytest.fixture
def path(places: Callable[[str], Location]) -> Location:
    """One such place."""
    return places("l")
