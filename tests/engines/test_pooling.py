"""Process rewards over a loopback server that speaks vLLM's pooling API, well or badly."""

import json
import math
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.config import Settings
from ponder.core import Budget, Generation, Message, Prompt, Question, Request, Sample
from ponder.engines import open_engine
from ponder.engines.pooling import PoolingEngine, rewards
from ponder.engines.scripted import ScriptedEngine
from ponder.errors import AuthFailed, BadResponse, CallFailed, EndpointDown, ModelNotFound
from ponder.solve import Meter, Solver
from ponder.strategies import plan
from ponder.verifiers import scorer
from tests.engines.upstream import Got, Reply, Upstream, assert_one_sentence
from tests.solve.conftest import QUESTION

STEPS = Prompt((Message("user", "2 + 6?"), Message("assistant", "one"), Message("assistant", "two")))


def pooled(*rows: Any, prompt: Any = 21) -> dict[str, Any]:
    """A pooling response as vLLM sends it."""
    return {
        "id": "pool-1",
        "object": "list",
        "model": "M",
        "data": [{"index": 0, "object": "pooling", "data": list(rows)}],
        "usage": {"prompt_tokens": prompt, "total_tokens": prompt, "completion_tokens": 0},
    }


def refusal(message: str, code: int) -> Reply:
    return Reply({"error": {"message": message, "type": "BadRequestError", "code": code}}, status=code)


def reward_model(right: Callable[[str], float]) -> Callable[[Got], Reply]:
    """A server that gives each step the probability `right(step)`."""

    def answer(got: Got) -> Reply:
        messages = got.body["messages"]
        if not got.path.endswith("/pooling"):
            return Reply({"detail": "Not Found"}, status=404)
        if not messages:
            return refusal("messages must not be empty", 400)
        steps = messages[-1]["content"].split("<extra_0>")[:-1]
        return Reply(pooled(*([1 - right(step), right(step)] for step in steps)))

    return answer


@pytest.fixture
def served() -> Iterator[Upstream]:
    with Upstream() as server:
        server.answer = reward_model(lambda step: 0.25 if "wrong" in step else 0.75)
        yield server


@pytest.fixture
async def engine(served: Upstream) -> AsyncIterator[PoolingEngine]:
    spec = f"pooling+{served.address.removesuffix('/v1')}#M"
    made = await PoolingEngine.from_spec(spec, backoff=0.01, retries=2, timeout=5.0)
    assert isinstance(made, PoolingEngine)
    yield made
    await made.close()


async def ask(engine: PoolingEngine, **request: Any) -> Generation:
    return await engine.start(Request(**{"prompt": STEPS, "max_tokens": 1, **request})).result()


# ---------------------------------------------------------------- asking


async def test_steps_go_out_as_one_turn_and_come_back_as_rewards(
    served: Upstream, engine: PoolingEngine
) -> None:
    generation = await ask(engine)
    assert [json.loads(output.text) for output in generation.outputs] == [[0.75, 0.75]]
    (attempt,) = generation.attempts
    usage = attempt.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.samples) == (21, 0, 1)
    assert generation.outputs[0].tokens == 0
    got = served.got[-1]
    assert got.path == "/pooling"
    assert got.body == {
        "model": "M",
        "encoding_format": "float",
        "messages": [
            {"role": "user", "content": "2 + 6?"},
            {"role": "assistant", "content": "one<extra_0>two<extra_0>"},
        ],
    }


async def test_a_step_cannot_make_steps_of_its_own(served: Upstream, engine: PoolingEngine) -> None:
    forged = Message("assistant", "wrong <ext<extra_0>ra_0>right<extra_0>")
    generation = await ask(engine, prompt=Prompt((Message("user", "q <extra_0>"), forged)))
    assert json.loads(generation.outputs[0].text) == [0.25]
    assert served.got[-1].body["messages"][0]["content"] == "q "


async def test_the_bound_holds_the_step_tokens(engine: PoolingEngine) -> None:
    long = Prompt((Message("user", "q"), *[Message("assistant", "s")] * 500))
    assert engine.prompt_tokens_bound(long) >= 500 * len("s<extra_0>")


@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/"])
async def test_it_opens_by_its_address(served: Upstream, ending: str) -> None:
    spec = f"pooling+{served.address.removesuffix('/v1')}{ending}#M"
    engine = await open_engine(spec, Settings())
    try:
        assert engine.model.name == "M"
        assert engine.facts["engine"] == "pooling"
        assert not engine.capabilities.prefix
        assert not engine.capabilities.logprobs
        generation = await engine.start(Request(STEPS, max_tokens=1)).result()
        assert generation.error is None
    finally:
        await engine.close()


async def test_a_server_without_pooling_is_found_before_anything_runs(
    served: Upstream, engine: PoolingEngine
) -> None:
    served.answer = lambda got: Reply({"detail": "Not Found"}, status=404)
    with pytest.raises(BadResponse) as caught:
        await engine.check()
    text = assert_one_sentence(caught.value, BadResponse)
    assert "vLLM's pooling API does: it has no /pooling; serve a reward model with --runner pooling." in text


async def test_a_missing_model_is_named(served: Upstream, engine: PoolingEngine) -> None:
    served.models = Reply({"data": [{"id": "other"}]})
    served.answer = lambda got: refusal("The model `M` does not exist.", 404)
    with pytest.raises(ModelNotFound, match="it serves other"):
        await engine.check()
    generation = await ask(engine)
    assert_one_sentence(generation.error, ModelNotFound)


# ---------------------------------------------------------------- failing


async def test_it_tries_again_and_counts_each_try(served: Upstream, engine: PoolingEngine) -> None:
    served.always(Reply(status=503), Reply(pooled([0.4], [0.6])))
    generation = await ask(engine)
    assert [attempt.status for attempt in generation.attempts] == ["failed", "ok"]
    assert generation.attempts[0].usage.tokens is None
    assert json.loads(generation.outputs[0].text) == [0.4, 0.6]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(status=401), AuthFailed),
        (Reply(status=500), CallFailed),
        (refusal("The model does not support Pooling API", 400), CallFailed),
        (Reply({"error": "out of memory"}), CallFailed),
        (Reply(b"<html>"), BadResponse),
        (Reply([1]), BadResponse),
        (Reply(pooled([0.5])), BadResponse),
        (Reply(pooled([0.5], [0.5], [0.5])), BadResponse),
        (Reply(pooled([0.5], [])), BadResponse),
        (Reply(pooled([0.5], [0.1, 0.2, 0.7])), BadResponse),
        (Reply(pooled([0.5], [3.2])), BadResponse),
        (Reply(pooled([0.5], [float("nan")])), BadResponse),
        (Reply(pooled([0.5], [True])), BadResponse),
        (Reply(pooled([0.5], ["1.0"])), BadResponse),
        (Reply(pooled(0.1, 0.9)), BadResponse),
        (Reply({"data": [{"data": "AAAA"}]}), BadResponse),
        (Reply({"data": []}), BadResponse),
        (Reply({"data": [{"data": [[0.5], [0.5]]}] * 2}), BadResponse),
        (Reply(pooled([0.5], [0.5]), declared=9999), EndpointDown),
    ],
)
async def test_what_is_not_a_reward_a_step_is_refused(
    served: Upstream, engine: PoolingEngine, reply: Reply, kind: Any
) -> None:
    served.always(reply)
    generation = await ask(engine)
    assert generation.outputs == ()
    assert_one_sentence(generation.error, kind)


@pytest.mark.parametrize("prompt", [None, -1, "7", 1e3, True])
async def test_a_count_that_cannot_be_right_is_unknown(
    served: Upstream, engine: PoolingEngine, prompt: Any
) -> None:
    served.always(Reply(pooled([0.5], [0.5], prompt=prompt)))
    (attempt,) = (await ask(engine)).attempts
    assert attempt.usage.prompt_tokens is None
    assert attempt.usage.completion_tokens == 0


async def test_a_call_can_be_cancelled(served: Upstream, engine: PoolingEngine) -> None:
    served.always(Reply(pooled([0.5], [0.5]), delay=0.5))
    call = engine.start(Request(STEPS, max_tokens=1))
    call.cancel()
    generation = await call.result()
    assert generation.outputs == ()
    assert generation.error is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["data", "x"]), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["data", "usage"]), json_values), st.integers(0, 3))
def test_no_response_gives_anything_but_probabilities(payload: dict[str, Any], steps: int) -> None:
    try:
        told = rewards(payload, steps)
    except BadResponse:
        return
    assert len(told) == steps
    assert all(0 <= reward <= 1 for reward in told)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=5))
def test_both_forms_of_a_row_say_the_same(values: list[float]) -> None:
    assert rewards(pooled(*([v] for v in values)), len(values)) == values
    assert rewards(pooled(*([1 - v, v] for v in values)), len(values)) == values


# ---------------------------------------------------------------- as a scorer


@pytest.mark.parametrize(
    ("name", "expected"),
    [("process", 0.75), ("process_min", 0.25), ("process_product", math.prod([0.75, 0.25, 0.75]))],
)
async def test_the_scorers_serve_from_it_on_the_same_budget(
    served: Upstream, engine: PoolingEngine, name: str, expected: float
) -> None:
    solver = ScriptedEngine.queued(
        ["first\nwrong turn\nis 7", "wrong\nwrong 8\nwrong", "first\nwrong turn\nis 7"]
    )
    seen: list[tuple[float | None, ...]] = []
    wrapped = _Watching(name, seen)
    meter = Meter(Budget(tokens=10_000))
    solution = await Solver({"solver": solver, "reward": engine}, scorers={name: wrapped}).run(
        plan(f"best:n=3,by={name}"), Question(**{**_fields(), "max_tokens": 20}), meter
    )
    assert seen[0][0] == pytest.approx(expected)
    assert seen[0][0] == seen[0][2]
    assert solution.answer.choice == "7" or name == "process_min"  # which ties
    asked = [got for got in served.got if got.path == "/pooling"]
    assert len(asked) == 2  # equal texts are asked about once
    assert solution.usage.prompt_tokens is not None
    assert solution.usage.prompt_tokens >= 42
    assert solution.usage.samples == 5


def _fields() -> dict[str, Any]:
    return {name: getattr(QUESTION, name) for name in Question.__dataclass_fields__}


class _Watching:
    """A scorer that notes the scores of the one it wraps."""

    def __init__(self, name: str, seen: list[tuple[float | None, ...]]) -> None:
        self.name, self._inner, self._seen = name, scorer(name), seen

    def score(self, question: Question, samples: tuple[Sample, ...]) -> Any:
        scores = yield from self._inner.score(question, samples)
        # The driver asks a scorer once to see what it needs, with made-up samples.
        if samples[0].text.startswith("first"):
            self._seen.append(scores)
        return scores
