import asyncio
import math
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core import Generation, Message, Output, Prompt, Request, Sampling
from ponder.engines.scripted import Faults, ScriptedEngine, words
from ponder.errors import CallFailed

PROMPT = Prompt((Message("user", "What is 2 + 6?"),))
THREE = {"8": 6.0, "9": 3.0, "10": 1.0}


async def ask(engine: ScriptedEngine, request: Request) -> Generation:
    return await engine.start(request).result()


def texts(generation: Generation) -> list[str]:
    return [output.text for output in generation.outputs]


@given(st.integers(0, 2**63), st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_a_sample_depends_on_seed_and_position_alone(seed: int, sizes: list[int]) -> None:
    """However the samples are divided into calls, they are the same."""

    async def both() -> tuple[list[str], list[str]]:
        engine = ScriptedEngine.drawing(THREE)
        whole = texts(await ask(engine, Request(PROMPT, n=sum(sizes), seed=seed)))
        parts: list[str] = []
        for n in sizes:
            parts += texts(await ask(engine, Request(PROMPT, n=n, seed=seed, offset=len(parts))))
        return whole, parts

    whole, parts = asyncio.run(both())
    assert whole == parts


async def test_samples_follow_the_distribution() -> None:
    generation = await ask(ScriptedEngine.drawing(THREE), Request(PROMPT, n=4000, seed=1))
    found = Counter(texts(generation))
    for text, weight in THREE.items():
        share = weight / 10
        assert found[text] / 4000 == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / 4000))


async def test_greedy_is_the_likeliest_text() -> None:
    request = Request(PROMPT, n=5, sampling=Sampling(temperature=0.0))
    assert texts(await ask(ScriptedEngine.drawing(THREE), request)) == ["8"] * 5


async def test_the_distribution_may_depend_on_the_prompt() -> None:
    engine = ScriptedEngine.drawing(lambda prompt: {prompt.messages[0].content: 1.0})
    assert texts(await ask(engine, Request(PROMPT))) == ["What is 2 + 6?"]


async def test_log_probabilities_add_up_to_the_texts() -> None:
    request = Request(PROMPT, n=20, seed=3, logprobs=True)
    for output in (await ask(ScriptedEngine.drawing(THREE), request)).outputs:
        assert output.logprobs is not None
        assert len(output.logprobs) == output.tokens == 2
        assert math.fsum(output.logprobs) == pytest.approx(math.log(THREE[output.text] / 10))


async def test_it_stops_as_a_model_does() -> None:
    engine = ScriptedEngine(lambda request, position: "one two three four")
    cases = [
        (Request(PROMPT), "one two three four", 5, "stop"),
        (Request(PROMPT, max_tokens=5), "one two three four", 5, "stop"),
        (Request(PROMPT, max_tokens=4), "one two three four", 4, "length"),
        (Request(PROMPT, max_tokens=2), "one two", 2, "length"),
        (Request(PROMPT, stop=(" thr",)), "one two", 3, "stop"),
        (Request(PROMPT, halt=lambda trace: len(trace.tokens) == 3), "one two three", 3, "stop"),
    ]
    for request, text, tokens, finish in cases:
        (output,) = (await ask(engine, request)).outputs
        assert (output.text, output.tokens, output.finish) == (text, tokens, finish)


async def test_usage_is_exact_and_within_its_bound() -> None:
    engine = ScriptedEngine(lambda request, position: "one two")
    generation = await ask(engine, Request(PROMPT, n=3, prefix="It is"))
    used = generation.attempts[0].usage
    assert used.prompt_tokens == engine.prompt_tokens_bound(PROMPT, "It is") == 7
    assert (used.completion_tokens, used.samples, used.calls) == (9, 3, 1)
    assert engine.calls == engine.tries == 1


async def test_a_queue_hands_out_in_order_and_ends() -> None:
    engine = ScriptedEngine.queued(["a", Output("b", tokens=40), "c"])
    first = await ask(engine, Request(PROMPT, n=2))
    assert [(o.text, o.tokens) for o in first.outputs] == [("a", 2), ("b", 40)]
    rest = await ask(engine, Request(PROMPT, n=2))
    assert isinstance(rest.error, CallFailed)
    assert [a.status for a in rest.attempts] == ["failed"]


async def test_failures_are_tried_again_while_there_is_room() -> None:
    def fail(k: int) -> Exception | None:
        return CallFailed("Bad luck.") if k < 2 else None

    engine = ScriptedEngine.drawing(THREE, faults=Faults(fail, retries=2))
    generation = await ask(engine, Request(PROMPT))
    assert [a.status for a in generation.attempts] == ["failed", "failed", "ok"]
    assert generation.error is None
    engine = ScriptedEngine.drawing(THREE, faults=Faults(fail, retries=2))
    generation = await ask(engine, Request(PROMPT, admit=lambda: False))
    assert [a.status for a in generation.attempts] == ["failed"]
    assert str(generation.error) == "Bad luck."
    engine = ScriptedEngine.drawing(THREE, faults=Faults(fail, retries=1))
    assert len((await ask(engine, Request(PROMPT))).attempts) == 2


async def test_cancelling_ends_a_slow_call() -> None:
    engine = ScriptedEngine.drawing(THREE, faults=Faults(seconds=30.0))
    call = engine.start(Request(PROMPT))
    await asyncio.sleep(0.01)
    call.cancel()
    generation = await asyncio.wait_for(call.result(), 5)
    assert generation.outputs == ()
    assert [a.status for a in generation.attempts] == ["cancelled"]
    await engine.close()


async def test_usage_can_be_wrong_or_missing_and_caps_broken() -> None:
    faults = Faults(
        report=lambda usage: replace(usage, completion_tokens=None), unmetered=True, excess=3, short=1
    )
    engine = ScriptedEngine(lambda request, position: "word " * 50, faults=faults)
    generation = await ask(engine, Request(PROMPT, n=3, max_tokens=10))
    assert [len(words(o.text)) for o in generation.outputs] == [13, 13]
    assert [o.tokens for o in generation.outputs] == [None, None]
    assert generation.attempts[0].usage.completion_tokens is None
