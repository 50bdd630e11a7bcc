"""The bank's file holds what the ledger does, and systems cannot tell which of the two serves them."""

from __future__ import annotations

import json
import lzma
import time
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks.peers.bank import SAMPLES, TEMPERATURE, Banked, load, save
from benchmarks.peers.campaign import Plan, run
from benchmarks.peers.drawing import recorded
from benchmarks.peers.endpoint import AT_ONCE, Endpoint, Replay
from benchmarks.peers.outcomes import Outcomes
from benchmarks.peers.systems import named
from benchmarks.peers.table import RESULT, grading

from ponder.core import Attempt, Budget, Model, Prompt, Question, Request, Sample, Sampling, Usage
from ponder.engines.replay import ReplayEngine
from ponder.ledger import Ledger
from ponder.solve import Limits, Meter, Solver
from ponder.strategies import plan

MODEL = Model("tiny", "tiny")
SYSTEMS = named(("vote:n=8", "probability_vote:n=12,slack=0.1,first=3", "adaptive_vote:n=16,delta=0.1"))


def question(name: str) -> Question:
    prompt = Prompt((), f"Question: What is 3 + 5?\nAnswer: 8\n\nQuestion: What is {name}?\nAnswer:")
    stop = ("\n\nQuestion",)
    return Question(name, name, prompt, prompt, task="chain_sum", stop=stop, max_tokens=9, extract="number")


def drawn(seed: int, n: int = SAMPLES) -> list[Sample]:
    """Samples with three answers, more of a text than one each, and unround log-probabilities."""
    return [
        Sample(
            f" {'so ' * (i % 2)}{7 + (i * i + seed) % 3} \u221a" if i % 5 else " none",
            choice=str(7 + (i * i + seed) % 3) if i % 5 else None,
            index=i,
            tokens=2 + i % 2,
            logprob=-1.0 / 3,
            logprobs=(-1.0 / 7, -4.0 / 21, -0.0001)[: 2 + i % 2],
            finish="stop" if i % 4 else "length",
        )
        for i in range(n)
    ]


@pytest.fixture
async def ledger(tmp_path: Path) -> Path:
    """Two runs: one with a problem that lacks a sample, one that repeats a problem of the other."""
    path = tmp_path / "ledger.sqlite"
    with Ledger.open(path, write=True) as opened:
        for name, texts in (("first", ("2 + 7", "4 + 4", "short")), ("second", ("1 + 8", "4 + 4"))):
            questions = [question(text) for text in texts]
            recorder = opened.run(name, {"run": name}, [(q, "9") for q in questions], {"solver": MODEL})
            for q in questions:
                samples = drawn(len(q.text) + ord(q.text[0]), SAMPLES - (q.text == "short"))
                usage = Usage(1, len(samples), 20, None, sum(s.tokens or 0 for s in samples))
                attempt = Attempt("ok", usage, time.time(), len(samples))
                await recorder.record(q, "s", "solver", Request(q.prompt, n=SAMPLES), [attempt], samples)
    return path


def test_the_file_holds_every_complete_problem_of_the_ledger(ledger: Path, tmp_path: Path) -> None:
    before = recorded(ledger)
    save(before, tmp_path / "bank.jsonl.xz")
    after = load(tmp_path / "bank.jsonl.xz")
    assert [banked.question.text for banked in after] == ["2 + 7", "4 + 4", "1 + 8"]
    for one, other in zip(before, after, strict=True):
        assert (one.question, one.key, one.prompt_tokens) == (other.question, other.key, other.prompt_tokens)
        for a, b in zip(one.samples, other.samples, strict=True):
            assert (a.text, a.choice, a.index, a.tokens, a.finish) == (
                *(b.text, b.choice, b.index, b.tokens, b.finish),
            )
            assert b.logprobs == pytest.approx(a.logprobs, abs=0.0005 + 1e-12)
            assert max(b.logprobs or ()) <= 0


def test_written_again_the_file_is_the_same_and_other_samples_have_another_digest(
    ledger: Path, tmp_path: Path
) -> None:
    save(recorded(ledger), tmp_path / "one.xz")
    first = load(tmp_path / "one.xz")
    save(first, tmp_path / "two.xz")
    assert (tmp_path / "two.xz").read_bytes() == (tmp_path / "one.xz").read_bytes()
    changed = replace(first[0], samples=(*first[0].samples[:-1], replace(first[0].samples[-1], text=" 5")))
    save([changed, *first[1:]], tmp_path / "three.xz")
    third = load(tmp_path / "three.xz")
    assert [a.digest == b.digest for a, b in zip(first, third, strict=True)] == [False, True, True]


async def test_systems_do_the_same_with_the_file_as_with_the_ledger(
    ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PONDER_PEERS", str(tmp_path))
    save(recorded(ledger), tmp_path / "bank.jsonl.xz")
    told: list[list[tuple[object, ...]]] = []
    for problems in (recorded(ledger), load(tmp_path / "bank.jsonl.xz")):
        outcomes = Outcomes(tmp_path / f"{len(told)}.jsonl")
        async with Endpoint(Replay(problems, AT_ONCE), problems) as endpoint:
            await run(Plan("replay", SYSTEMS, problems), endpoint, outcomes)
        outcomes.close()
        told.append(sorted((o.system, o.problem, o.text, str(o.true), o.error) for o in outcomes))
    assert told[0] == told[1]
    assert len(told[0]) >= len(SYSTEMS) * 3
    assert all(error is None for *_, error in told[0])


@pytest.mark.parametrize(
    ("spoilt", "says"),
    [
        (b'{"samples": 2, "temperature": 0.8}\n', "no bank of 64 samples"),
        (b"", "no bank of 64 samples"),
        (b'{"samples": 64, "temperature": 0.8}\n{"question": {}}\n', "line 2 is no problem"),
        (b'{"samples": 64, "temperature": 0.8}\n[]\n', "line 2 is no problem"),
    ],
)
def test_what_is_no_bank_is_refused(tmp_path: Path, spoilt: bytes, says: str) -> None:
    (tmp_path / "bank.xz").write_bytes(lzma.compress(spoilt))
    with pytest.raises(ValueError, match=says):
        load(tmp_path / "bank.xz")


def test_a_sample_without_log_probabilities_cannot_be_written(tmp_path: Path, ledger: Path) -> None:
    problem: Banked = recorded(ledger)[0]
    blank = replace(problem, samples=(replace(problem.samples[0], logprobs=None), *problem.samples[1:]))
    with pytest.raises(ValueError, match="sample 0 of 2 \\+ 7 has no tokens or log-probabilities"):
        save([blank], tmp_path / "bank.xz")


@pytest.mark.slow
@pytest.mark.parametrize("spec", ["vote:n=16", "probability_vote:n=8,first=8"])
async def test_the_committed_table_is_that_of_the_committed_bank(spec: str) -> None:
    """A system's row, drawn again from the bank without any endpoint."""
    problems = load()
    right = grading()
    bank = {b.question.prompt: b.samples for b in problems}
    solver = Solver({"solver": ReplayEngine(MODEL, bank)}, limits=Limits(0, Sampling(TEMPERATURE)))
    correct, tokens = 0, 0
    for banked in problems:
        solution = await solver.run(plan(spec), banked.question, Meter(Budget()))
        correct += right(banked, solution.answer.text)
        tokens += solution.usage.completion_tokens or 0
    told = json.loads(RESULT.read_text("utf-8"))["replay"]["all"]
    assert told["problems"] == len(problems)
    row = told["systems"][spec]
    assert row["accuracy"][0] == pytest.approx(correct / len(problems))
    # The table adds a client's trial of the endpoint, a few tokens in all.
    assert 0 <= row["tokens"]["generated"][0] - tokens / len(problems) < 0.02
