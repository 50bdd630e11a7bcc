"""The engine for model folders."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from ponder import flop
from ponder.config import Settings
from ponder.core import Capabilities, Engine, Generation, Message, Prompt, Request, Sampling, Trace
from ponder.engines import open_engine
from ponder.engines._torch_crew import LocalWorker
from ponder.engines.transformers import SAMPLES_PER_CALL, TransformersEngine
from ponder.errors import CallFailed, CheckpointInvalid, ModelUnsupported, OutOfMemory

from . import tiny

SUM = Prompt((Message("user", "3 + 7"),), "3 7=10:")
OTHER = Prompt((), "abc")
GREEDY = Sampling(0)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write(tmp_path_factory.mktemp("models") / "tiny", max_position_embeddings=2048)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(folder: Path) -> AsyncIterator[TransformersEngine]:
    opened = await open_engine(str(folder), Settings())
    assert isinstance(opened, TransformersEngine)
    yield opened
    await opened.close()


async def run(engine: Engine, request: Request) -> Generation:
    return await engine.start(request).result()


async def test_it_is_an_engine_that_says_what_it_can(engine: TransformersEngine) -> None:
    assert isinstance(engine, Engine)
    assert engine.capabilities == Capabilities(
        256, 1024, True, True, True, True, True, True, True, exact_prompt=True
    )
    assert engine.facts["engine"] == "transformers"
    assert engine.facts["weights_sha256"] == engine.model.fingerprint
    assert engine.model.name == "tiny"
    assert flop.method(engine.model) == "shape"


async def test_a_call_says_what_it_used(engine: TransformersEngine) -> None:
    generation = await run(engine, Request(SUM, n=8, max_tokens=30, seed=2, logprobs=True))
    (attempt,) = generation.attempts
    assert (attempt.status, attempt.samples, generation.error) == ("ok", 8, None)
    assert attempt.usage.prompt_tokens == engine.prompt_tokens_bound(SUM) == len("3 7=10:") + 1
    assert attempt.usage.cached_tokens == 0
    assert attempt.usage.completion_tokens == sum(o.tokens or 0 for o in generation.outputs)
    assert all(o.tokens == len(o.logprobs or ()) for o in generation.outputs)
    assert {o.finish for o in generation.outputs} <= {"stop", "length"}


async def test_the_same_seed_gives_the_same_samples_whatever_runs_beside_them(
    engine: TransformersEngine,
) -> None:
    request = Request(SUM, n=8, max_tokens=40, seed=5)
    alone = await run(engine, request)
    beside = [engine.start(Request(OTHER, n=4, max_tokens=60, seed=at)) for at in range(6)]
    together = await run(engine, request)
    await asyncio.gather(*(call.result() for call in beside))
    assert together.outputs == alone.outputs
    tail = await run(engine, replace(request, n=3, offset=5))
    assert tail.outputs == alone.outputs[5:]
    assert (await run(engine, replace(request, seed=6))).outputs != alone.outputs


async def test_greedy_samples_are_all_the_same_in_every_company(engine: TransformersEngine) -> None:
    prompts = [Prompt((), text) for text in ("a", "12 34=46:", "hello there", "#" * 40)]
    alone = [await run(engine, Request(p, sampling=GREEDY, max_tokens=50)) for p in prompts]
    calls = [engine.start(Request(p, n=17, sampling=GREEDY, max_tokens=50)) for p in prompts]
    for one, call in zip(alone, calls, strict=True):
        assert (await call.result()).outputs == one.outputs * 17


async def test_a_call_of_many_samples_comes_in_parts(engine: TransformersEngine) -> None:
    count = SAMPLES_PER_CALL + 40
    generation = await run(engine, Request(SUM, n=count, max_tokens=5, seed=1))
    assert len(generation.outputs) == count
    assert [attempt.samples for attempt in generation.attempts] == [SAMPLES_PER_CALL, 40]
    part = await run(engine, Request(SUM, n=3, max_tokens=5, seed=1, offset=SAMPLES_PER_CALL))
    assert generation.outputs[SAMPLES_PER_CALL:][:3] == part.outputs


async def test_a_stop_string_is_told(engine: TransformersEngine) -> None:
    generation = await run(engine, Request(SUM, n=60, max_tokens=60, stop=("b", ""), seed=1))
    ended = [output for output in generation.outputs if output.stopped_by is not None]
    assert {(o.stopped_by, o.finish) for o in ended} == {("b", "stop")}
    assert not any("b" in output.text for output in generation.outputs)


async def test_a_prefix_is_continued(engine: TransformersEngine) -> None:
    one = await run(engine, Request(SUM, n=4, max_tokens=20, prefix="3+"))
    other = await run(engine, Request(Prompt((), "3 7=10:3+"), n=4, max_tokens=20))
    assert one.outputs == other.outputs
    assert engine.prompt_tokens_bound(SUM, "3+") == engine.prompt_tokens_bound(SUM) + 2


async def test_length_ends_a_sample(engine: TransformersEngine) -> None:
    generation = await run(engine, Request(OTHER, n=20, max_tokens=2))
    assert ("length", 2) in {(o.finish, o.tokens) for o in generation.outputs}


async def test_a_trace_is_halted_by_its_own_tokens(engine: TransformersEngine) -> None:
    def enough(trace: Trace) -> bool:
        assert len(trace.tokens) == len(trace.logprobs)
        return len(trace.tokens) >= 6

    free = await run(engine, Request(SUM, n=5, max_tokens=300))
    halted = await run(engine, Request(SUM, n=5, max_tokens=300, halt=enough))
    for whole, output in zip(free.outputs, halted.outputs, strict=True):
        assert whole.text.startswith(output.text)
        assert output.tokens == min(6, whole.tokens or 0)
        assert output.finish == "stop"
        assert output.logprobs is None


async def test_a_halt_that_fails_fails_its_call_and_not_the_engine(engine: TransformersEngine) -> None:
    def broken(trace: Trace) -> bool:
        raise ValueError("no such token")

    generation = await run(engine, Request(SUM, max_tokens=9, halt=broken))
    assert isinstance(generation.error, CallFailed)
    assert "no such token" in str(generation.error)
    assert generation.attempts[0].usage.completion_tokens is None
    assert (await run(engine, Request(SUM, max_tokens=9))).error is None


async def test_a_cancelled_call_says_what_it_had_spent(engine: TransformersEngine) -> None:
    call = engine.start(Request(OTHER, n=200, max_tokens=2000, seed=1))
    other = engine.start(Request(SUM, n=2, max_tokens=8))
    await other.result()
    call.cancel()
    generation = await call.result()
    (attempt,) = generation.attempts
    assert attempt.status == "cancelled"
    assert generation.error is None
    assert "cancelled" in {o.finish for o in generation.outputs}
    assert attempt.usage.completion_tokens == sum(o.tokens or 0 for o in generation.outputs)
    assert 200 <= (attempt.usage.completion_tokens or 0) < 200 * 2000
    call.cancel()  # again is harmless
    assert await call.result() == generation


async def test_a_call_that_never_began_cost_nothing(folder: Path) -> None:
    engine = TransformersEngine(folder, device="cpu", processes=0)
    calls = [engine.start(Request(OTHER, n=256, max_tokens=2000, seed=at)) for at in range(30)]
    calls[-1].cancel()
    generation = await calls[-1].result()
    assert generation.outputs == ()
    assert generation.attempts[0].usage.tokens == 0
    await engine.close()
    ended = [await call.result() for call in calls]
    assert {attempt.status for each in ended for attempt in each.attempts} == {"cancelled"}
    late = await engine.start(Request(OTHER)).result()
    assert "closed" in str(late.error)


async def test_an_engine_that_ends_while_a_call_begins_lets_nobody_wait(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = TransformersEngine(folder)
    read = engine._asks

    def ending(request: Request) -> object:
        engine._stop(None)
        return read(request)

    monkeypatch.setattr(engine, "_asks", ending)
    async with asyncio.timeout(10):
        generation = await run(engine, Request(SUM))
    assert "closed" in str(generation.error)
    await engine.close()


async def test_processes_join_in_and_draw_the_same_samples(folder: Path, engine: TransformersEngine) -> None:
    many = TransformersEngine(folder, device="cpu", processes=2)
    request = Request(SUM, n=256, max_tokens=60, seed=7, logprobs=True)
    try:
        await many.start(request).result()  # work enough that they start
        for _ in range(2400):
            if all(seat.ready for seat in many._seats):
                break
            await asyncio.sleep(0.1)
        assert [seat.ready for seat in many._seats] == [True] * 3
        calls = [many.start(replace(request, seed=seed)) for seed in (7, 8, 9)]
        calls[1].cancel()
        found = [await call.result() for call in calls]
        expected = await run(engine, request)
        assert [o.text for o in found[0].outputs] == [o.text for o in expected.outputs]
        assert found[2].error is None
        for seat in many._seats[1:]:
            os.kill(seat._worker._child.pid, signal.SIGKILL)  # type: ignore[attr-defined]
        after = [await run(many, request) for _ in range(3)]  # each process that died fails one call at most
        assert "sampling process failed" in str(after[0].error)
        well = [each for each in after if each.error is None]
        assert well
        for each in well:
            assert [o.text for o in each.outputs] == [o.text for o in expected.outputs]
    finally:
        await many.close()


async def test_too_large_a_batch_says_which_one_to_try(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OutOfMemory("64 samples side by side do not fit into memory: try batch=32.")

    engine = TransformersEngine(folder, device="cpu", processes=0)
    with monkeypatch.context() as patch:
        patch.setattr(LocalWorker, "advance", full)
        generation = await run(engine, Request(SUM, n=64))
    assert isinstance(generation.error, OutOfMemory)
    assert generation.attempts[0].status == "failed"
    assert (await run(engine, Request(SUM, n=2, max_tokens=3))).error is None
    await engine.close()


async def test_half_a_surrogate_pair_is_a_failed_call(engine: TransformersEngine) -> None:
    for prompt in (Prompt((), "3 \ud800"), Prompt((Message("user", "3 \ud800"),))):
        generation = await run(engine, Request(prompt))
        assert isinstance(generation.error, CallFailed)
        assert "half a surrogate pair" in str(generation.error)


async def test_a_template_that_says_nothing_of_its_error_is_unusable(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine._text._tokenizer, "chat_template", "{{ raise_exception('') }}")
    generation = await run(engine, Request(Prompt((Message("user", "never seen"),))))
    assert isinstance(generation.error, ModelUnsupported)


@pytest.mark.parametrize("text", ["a" * 2048])
async def test_a_prompt_that_does_not_fit_is_a_failed_call(engine: TransformersEngine, text: str) -> None:
    generation = await run(engine, Request(Prompt((), text)))
    assert isinstance(generation.error, CallFailed)
    assert "2049 tokens" in str(generation.error)
    assert generation.attempts[0].usage.tokens == 0


async def test_messages_go_through_the_chat_template(engine: TransformersEngine) -> None:
    asked = Prompt((Message("user", "hi [eos]"),))
    generation = await run(engine, Request(asked))
    assert isinstance(generation.error, ModelUnsupported)
    assert "chat template" in str(generation.error)
    words = engine._text._tokenizer
    words.chat_template = "{% for m in messages %}<{{ m.role }}> {{ m.content }}[eos]{% endfor %}"
    try:
        # A message cannot end its own turn.
        assert engine._text.render(asked, "well") == "<user> hi [ eos][eos]well"
        assert engine._text.encode(asked).count(tiny.END) == 1
        assert (await run(engine, Request(asked, max_tokens=3))).error is None
    finally:
        words.chat_template = None


async def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointInvalid, match=r"config\.json"):
        await open_engine(str(tmp_path), Settings())
