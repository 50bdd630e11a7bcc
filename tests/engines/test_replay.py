import asyncio

from hypothesis import given
from hypothesis import strategies as st

from ponder.core import Generation, Message, Model, Output, Prompt, Request, Sample
from ponder.engines.replay import ReplayEngine
from ponder.engines.scripted import ScriptedEngine
from ponder.errors import CallFailed

MODEL = Model("recorded", "recorded")
PROMPT = Prompt((Message("user", "What is 2 + 6?"),))


@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 2**31))
def test_what_was_drawn_comes_again_with_its_tokens(n: int, size: int, seed: int) -> None:
    async def both() -> tuple[Generation, list[Generation]]:
        drawn_by = ScriptedEngine.drawing({"8": 3.0, "it is 9": 1.0})
        drawn = await drawn_by.start(Request(PROMPT, n=n, seed=seed, logprobs=True)).result()
        known = {PROMPT: drawn_by.prompt_tokens_bound(PROMPT)}
        engine = ReplayEngine(MODEL, {PROMPT: drawn.outputs}, prompt_tokens=known)
        requests = [Request(PROMPT, n=min(size, n - at), offset=at) for at in range(0, n, size)]
        return drawn, [await engine.start(request).result() for request in requests]

    drawn, replayed = asyncio.run(both())
    assert tuple(o for g in replayed for o in g.outputs) == drawn.outputs
    used = [g.attempts[0].usage for g in replayed]
    assert sum(u.completion_tokens or 0 for u in used) == drawn.attempts[0].usage.completion_tokens
    assert {u.prompt_tokens for u in used} == {drawn.attempts[0].usage.prompt_tokens}


async def test_samples_as_a_strategy_sees_them_can_be_served() -> None:
    sample = Sample("8", choice="8", reasoning="2 + 6", tokens=3, logprobs=(-1.0,), finish="length")
    engine = ReplayEngine(MODEL, {(PROMPT, "It is"): [sample]})
    generation = await engine.start(Request(PROMPT, prefix="It is")).result()
    assert generation.outputs == (Output("8", "2 + 6", 3, (-1.0,), "length"),)
    assert engine.served == 1


async def test_unknown_tokens_stay_unknown() -> None:
    engine = ReplayEngine(MODEL, {PROMPT: [Output("8", tokens=3), Output("9")]})
    used = (await engine.start(Request(PROMPT, n=2)).result()).attempts[0].usage
    assert used.completion_tokens is None
    assert used.prompt_tokens is None
    assert engine.prompt_tokens_bound(PROMPT) is None


async def test_the_record_ends_in_one_sentence() -> None:
    engine = ReplayEngine(MODEL, {PROMPT: [Output("8", tokens=3)]})
    generation = await engine.start(Request(PROMPT, n=3)).result()
    assert [o.text for o in generation.outputs] == ["8"]
    assert isinstance(generation.error, CallFailed)
    assert "holds 1 samples of this prompt and number 2 was asked for" in str(generation.error)
    assert [(a.status, a.samples) for a in generation.attempts] == [("ok", 1), ("failed", 0)]
    other = Request(Prompt((Message("user", "another"),)))
    assert isinstance((await engine.start(other).result()).error, CallFailed)
