"""Bulk sampling from model folders."""

import math
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from ponder.core import Output, Sampling
from ponder.engines import _torch_batch
from ponder.engines._torch_crew import ChildWorker, _Account
from ponder.engines._torch_folder import read_folder
from ponder.engines._torch_net import AutoNet, LlamaNet, load_net, pad_left
from ponder.engines._torch_text import Text
from ponder.engines.torch_sampling import Sampler
from ponder.errors import CallFailed, InputError, OutOfMemory

from . import tiny

PROMPTS = ["3 7 9 25=42:", "1=2:", "abc", "a", "the quick brown fox jumps over the lazy dog 0123456789?"]
GREEDY = Sampling(0)
WARM = Sampling(1.0)

KINDS: dict[str, dict[str, Any]] = {
    "llama": {},
    "llama, grouped queries": {"num_key_value_heads": 2, "head_dim": 12},
    "llama, one key-value head, biases, untied": {
        "num_key_value_heads": 1,
        "attention_bias": True,
        "mlp_bias": True,
        "tie_word_embeddings": False,
    },
    "llama, stretched positions": {
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 10000.0,
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        }
    },
    "qwen2": {"kind": "qwen2", "num_key_value_heads": 2},
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("models")
    return {name: tiny.write(place / str(at), **options) for at, (name, options) in enumerate(KINDS.items())}


@pytest.fixture(scope="module")
def sampler(folders: dict[str, Path]) -> Any:
    with Sampler.open(folders["llama"], device="cpu") as opened:
        yield opened


def collect(sampler: Sampler, prompts: list[str], n: int = 1, **options: Any) -> list[list[Output]]:
    settings = {"sampling": WARM, "max_tokens": 24, "seed": 0} | options
    found = dict(sampler.sample(prompts, n, **settings))
    assert sorted(found) == list(range(len(prompts)))
    return [found[at] for at in range(len(prompts))]


def reference(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    return model, PreTrainedTokenizerFast.from_pretrained(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_greedy_samples_are_those_of_generate_and_logprobs_those_of_a_bare_pass(
    folders: dict[str, Path], kind: str
) -> None:
    """Prompts of different lengths run together here, and alone there."""
    import torch

    model, words = reference(folders[kind])
    with Sampler.open(folders[kind], device="cpu") as sampler:
        outputs = collect(sampler, PROMPTS, 2, sampling=GREEDY, max_tokens=40, logprobs=True)
    for prompt, (output, again) in zip(PROMPTS, outputs, strict=True):
        assert (again.text, again.tokens, again.finish) == (output.text, output.tokens, output.finish)
        ids = words(prompt, return_tensors="pt").input_ids
        drawn = model.generate(ids, max_new_tokens=40, do_sample=False)[0, ids.shape[1] :]
        assert output.text == words.decode(drawn, skip_special_tokens=True)
        assert output.tokens == len(drawn)
        assert output.finish == ("stop" if drawn[-1] == tiny.END else "length")
        with torch.inference_mode():
            logits = model(torch.cat([ids[0], drawn])[None]).logits[0, ids.shape[1] - 1 : -1]
        expected = torch.log_softmax(logits, -1).gather(1, drawn[:, None])[:, 0]
        assert output.logprobs is not None
        assert torch.allclose(torch.tensor(output.logprobs), expected, atol=2e-4)


@pytest.mark.parametrize("kind", ["llama, grouped queries", "qwen2"])
def test_hidden_states_of_padded_rows_are_those_of_rows_alone(folders: dict[str, Path], kind: str) -> None:
    import torch

    model, words = reference(folders[kind])
    net = load_net(read_folder(folders[kind]), "cpu")
    assert isinstance(net, AutoNet if kind == "qwen2" else LlamaNet)
    rows = [words(prompt).input_ids for prompt in PROMPTS]
    with torch.inference_mode():
        states = net.hidden(*pad_left(rows, net.device))
        for state, row in zip(states, rows, strict=True):
            expected = model.model(torch.tensor([row])).last_hidden_state[0]
            assert torch.allclose(state[-len(row) :], expected, atol=1e-4)


@pytest.mark.parametrize("temperature", [0.7, 1.5])
def test_logprobs_are_those_of_the_untempered_model(folders: dict[str, Path], temperature: float) -> None:
    import torch

    model, words = reference(folders["llama"])
    with Sampler.open(folders["llama"], device="cpu") as sampler:
        (outputs,) = collect(
            sampler, PROMPTS[:1], 20, sampling=Sampling(temperature, 0.9), logprobs=True, max_tokens=12
        )
    checked = 0
    ids = words(PROMPTS[0]).input_ids
    for output in outputs:
        assert output.logprobs is not None
        drawn = [words.convert_tokens_to_ids(char) for char in output.text]
        drawn += [tiny.END] * (output.finish == "stop")
        if len(drawn) < (output.tokens or 0):
            continue  # it has control tokens, which have no text
        checked += 1
        with torch.inference_mode():
            logits = model(torch.tensor([ids + drawn])).logits[0, len(ids) - 1 : -1]
        expected = torch.log_softmax(logits, -1)[range(len(drawn)), drawn]
        assert torch.allclose(torch.tensor(output.logprobs), expected, atol=2e-4)
    assert checked > 5


def test_tokens_are_drawn_as_often_as_they_are_likely(folders: dict[str, Path], sampler: Sampler) -> None:
    """Chi-squared over the first token; seeds fix it, so it holds always or never."""
    import torch

    model, words = reference(folders["llama"])
    with torch.inference_mode():
        logits = model(torch.tensor([words("abc").input_ids])).logits[0, -1]
    names = words.convert_ids_to_tokens(list(range(len(logits))))
    for sampling in (WARM, Sampling(0.7), Sampling(1.0, 0.8)):
        (outputs,) = collect(sampler, ["abc"], 4000, sampling=sampling, max_tokens=1)
        seen = Counter(output.text for output in outputs)
        likely = torch.softmax(logits / sampling.temperature, -1)
        if sampling.top_p < 1:
            ranked, order = likely.sort(descending=True)
            likely[order[ranked.cumsum(0) - ranked >= sampling.top_p]] = 0
            likely /= likely.sum()
        chi = 0.0
        for name, share in zip(names, likely.tolist(), strict=True):
            text = "" if name.startswith("[") else name
            if share == 0:
                assert text == "" or not seen[text]
            elif share * 4000 >= 5 and text:
                chi += (seen[text] - share * 4000) ** 2 / (share * 4000)
        assert chi < 100  # 99.9 % point at 54 degrees of freedom is 92


def test_a_sample_depends_on_the_seed_and_its_place_alone(folders: dict[str, Path], sampler: Sampler) -> None:
    first = collect(sampler, PROMPTS, 6, seed=5)
    with Sampler.open(folders["llama"], device="cpu", batch=3) as narrow:
        assert collect(narrow, PROMPTS, 6, seed=5) == first
    assert [each[:2] for each in collect(sampler, PROMPTS, 2, seed=5)] == [each[:2] for each in first]
    assert collect(sampler, PROMPTS[:2], 6, seed=5) == first[:2]
    assert collect(sampler, PROMPTS, 6, seed=6) != first
    assert len({output.text for output in first[0]}) > 1


def test_processes_draw_the_same_samples(folders: dict[str, Path], sampler: Sampler) -> None:
    expected = collect(sampler, PROMPTS * 4, 5, seed=3, stop=("9", "3\n"), logprobs=True)
    with Sampler.open(folders["llama"], processes=2) as several:
        before = several.work
        found = collect(several, PROMPTS * 4, 5, seed=3, stop=("9", "3\n"), logprobs=True)
        assert (before.generated, several.work.generated) == (
            0,
            sum(output.tokens or 0 for row in found for output in row),
        )
        for ours, theirs in zip(found, expected, strict=True):
            for one, other in zip(ours, theirs, strict=True):
                assert (one.text, one.tokens, one.finish, one.stopped_by) == (
                    other.text,
                    other.tokens,
                    other.finish,
                    other.stopped_by,
                )
                assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


@pytest.mark.parametrize("stop", [("b",), ("9", "b"), ("ab", "ba", "3 "), ("zzzz",)])
def test_a_stop_string_ends_a_sample_and_is_counted(sampler: Sampler, stop: tuple[str, ...]) -> None:
    free = collect(sampler, PROMPTS, 40, max_tokens=60, logprobs=True)
    stopped = collect(sampler, PROMPTS, 40, max_tokens=60, logprobs=True, stop=stop)
    ended = exact = 0
    for row, cut in zip(free, stopped, strict=True):
        for whole, output in zip(row, cut, strict=True):
            places = [whole.text.find(each) for each in stop if each in whole.text]
            if not places:
                assert (output.text, output.tokens, output.finish) == (whole.text, whole.tokens, whole.finish)
                continue
            ended += 1
            assert output.text == whole.text[: min(places)]
            assert output.finish == "stop"
            assert output.stopped_by is not None
            assert whole.text[min(places) :].startswith(output.stopped_by)
            # Control tokens have no text, so there may be more tokens than characters.
            assert output.tokens is not None
            assert output.logprobs == pytest.approx((whole.logprobs or ())[: output.tokens], abs=1e-4)
            assert output.tokens >= len(output.text + output.stopped_by)
            exact += output.tokens == len(output.text + output.stopped_by)
    assert (ended > 0) == (exact > 0) == (stop != ("zzzz",))


def test_a_prefix_is_continued(sampler: Sampler) -> None:
    (joined,) = collect(sampler, ["3 7=10:" + "3+"], 4)
    (prefixed,) = collect(sampler, ["3 7=10:"], 4, prefixes=["3+"])
    assert prefixed == joined


def test_bytes_that_make_no_whole_character_do_not_hide_a_stop_string(tmp_path: Path) -> None:
    words = tiny.byte_tokenizer()
    tiny.model(vocab=len(words), eos_token_id=0).save_pretrained(tmp_path)
    words.save_pretrained(tmp_path)
    with Sampler.open(tmp_path, device="cpu") as sampler:
        free = collect(sampler, ["Aé b", "x"], 40, max_tokens=80)
        for stop in ("k", "\ufffd", " "):
            stopped = collect(sampler, ["Aé b", "x"], 40, max_tokens=80, stop=(stop,))
            some = False
            for whole, output in zip(chain(*free), chain(*stopped), strict=True):
                some |= stop in whole.text
                # A stop string may be seen in bytes that the next one makes a character of.
                if stop != "\ufffd":
                    assert output.text == whole.text.split(stop)[0]
                assert stop not in output.text
            assert some


def test_length_and_context_end_a_sample(folders: dict[str, Path], sampler: Sampler) -> None:
    (outputs,) = collect(sampler, ["a"], 20, max_tokens=3)
    assert {(o.tokens, o.finish) for o in outputs if o.finish == "length"} == {(3, "length")}
    (outputs,) = collect(sampler, ["a" * 250], 20, max_tokens=100)
    assert max(o.tokens or 0 for o in outputs) == 256 - 251


def test_work_counts_every_token(sampler: Sampler) -> None:
    before = sampler.work
    outputs = collect(sampler, PROMPTS, 30)
    generated = sum(output.tokens or 0 for row in outputs for output in row)
    assert sampler.work.generated - before.generated == generated
    assert sampler.work.prompt_tokens - before.prompt_tokens == sum(len(p) + 1 for p in PROMPTS)
    # The first token of each sample comes of the prompt's pass, the last is not fed back.
    assert sampler.work.positions - before.positions >= generated - 30 * len(PROMPTS)


def test_work_of_a_process_that_died_is_counted(folders: dict[str, Path]) -> None:
    """A test prompt has as many tokens as letters, and one more."""
    import os
    import signal

    prompts, n, most = PROMPTS * 150, 8, 60  # seconds of work: it cannot be over when the process dies
    with Sampler.open(folders["llama"], processes=2) as several:
        drawn = several.sample(prompts, n, sampling=WARM, max_tokens=most, seed=1)
        finished = [next(drawn)]
        worker = several._crew.workers[0]
        assert isinstance(worker, ChildWorker)
        assert worker._child.pid is not None
        os.kill(worker._child.pid, signal.SIGKILL)
        with pytest.raises(CallFailed, match="A sampling process failed"):
            finished.extend(drawn)
        made = sum(output.tokens or 0 for _, row in finished for output in row)
        work = several.work
        assert made <= work.generated <= len(prompts) * n * most
        assert 0 < work.prompt_tokens <= sum(len(prompt) + 1 for prompt in prompts)
        assert work.positions >= work.prompt_tokens
        after = collect(several, PROMPTS, 3)
        made = sum(output.tokens or 0 for row in after for output in row)
        assert several.work.generated - work.generated == made


def test_of_a_process_that_died_the_most_is_counted() -> None:
    """Two asks of two samples of at most ten tokens; one was done with seven tokens in all."""
    account = _Account()
    asks = [_torch_batch.Ask(at, (1, 4, 5), 2, 10, WARM, 0) for at in range(2)]
    account.begin(asks)
    account.report([6, 9, 17])
    account.end([_torch_batch.Done(0, (Output("", tokens=3), Output("", tokens=4)))])
    assert account.work == _torch_batch.Work(6, 9, 17)
    account.died()
    assert account.work == _torch_batch.Work(6, 7 + 20, 17 + 18)
    account.begin(asks[:1])
    account.died()
    assert account.work == _torch_batch.Work(9, 47, 35 + 3 + 20)


def test_what_is_left_early_does_not_come_later(sampler: Sampler) -> None:
    for _ in sampler.sample(PROMPTS * 20, 50, sampling=WARM, max_tokens=60, seed=1):
        break
    assert len(collect(sampler, PROMPTS[:2], 2)) == 2


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"n": 0}, "n: it must be at least 1"),
        ({"max_tokens": 0}, "max_tokens: it must be at least 1"),
        ({"stop": ("",)}, "stop: an empty"),
        ({"prefixes": ["a"]}, "prefixes: 1 for 2 prompts"),
        ({"prompts": ["ok", "a" * 300]}, "prompts: number 1 has 301 tokens"),
    ],
)
def test_what_cannot_be_sampled_is_refused(sampler: Sampler, changed: dict[str, Any], words: str) -> None:
    given = {"prompts": ["a", "b"], "n": 1, "sampling": WARM, "max_tokens": 4, "seed": 0} | changed
    with pytest.raises(InputError, match=words):
        list(sampler.sample(given.pop("prompts"), given.pop("n"), **given))


def test_too_large_a_batch_says_which_one_to_try(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def full(*_: Any) -> Any:
        torch.empty(1 << 60, dtype=torch.int8)

    monkeypatch.setattr(LlamaNet, "step", full)
    with (
        Sampler.open(folders["llama"], device="cpu") as sampler,
        pytest.raises(OutOfMemory, match="20 samples side by side do not fit into memory: try batch=10"),
    ):
        list(sampler.sample(["a"], 20, sampling=WARM, max_tokens=4, seed=0))


def test_rows_that_ended_are_left_out(folders: dict[str, Path]) -> None:
    """A long sample among short ones: the positions computed stay near those that were needed."""
    found = read_folder(folders["llama"])
    text, net = Text(found.path, found.config), load_net(found, "cpu")
    batch = _torch_batch.Batch(net, text, capacity=64, cache_bytes=1e9)
    ask = _torch_batch.Ask(0, (1, 4), 1, 60, GREEDY, 0)
    short = [_torch_batch.Ask(at, (1, 5), 1, 4, GREEDY, 0) for at in range(1, 60)]
    batch.admit([ask, *short])
    done = batch.advance(math.inf)
    assert len(done) == 60
    assert batch.work.positions < 60 * 2 + 59 * 4 + 60
    assert batch.rows == 0


def test_late_asks_begin_together_and_need_not_wait_for_the_end(folders: dict[str, Path]) -> None:
    found = read_folder(folders["llama"])
    text, net = Text(found.path, found.config), load_net(found, "cpu")
    batch = _torch_batch.Batch(net, text, capacity=64, cache_bytes=1e9)
    batch.admit([_torch_batch.Ask(0, (1, 4), 20, 200, GREEDY, 0)])
    assert batch.advance(0) == []
    done: list[int] = []
    steps = 0
    for late in range(1, 11):
        batch.admit([_torch_batch.Ask(late, (1, 5), 1, 3, GREEDY, 0)])
        done += [each.number for each in batch.advance(0)]
        steps += 1
    assert done == []
    while len(done) < 10:
        done += [each.number for each in batch.advance(0)]
        steps += 1
    assert sorted(done) == list(range(1, 11))
    assert steps < 60
    assert batch.rows == 20


@pytest.mark.parametrize("kind", ["llama, grouped queries", "qwen2"])
def test_the_cache_never_takes_more_than_its_limit(
    folders: dict[str, Path], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asks of all lengths come as others end. The tensors of all caches in existence are summed up after each
    operation on one; what an operation holds beside them is at most what `position_bytes` allows for."""
    import weakref

    import torch

    found = read_folder(folders[kind])
    text, net = Text(found.path, found.config), load_net(found, "cpu")
    caches: weakref.WeakSet[Any] = weakref.WeakSet()
    most = [0]

    def cache_of(state: Any) -> Any:
        return state if isinstance(net, LlamaNet) else state.cache

    def taken(cache: Any) -> int:
        if isinstance(net, LlamaNet):
            return sum(tensor.nbytes for tensor in cache.keys + cache.values)
        return sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)

    def watch(name: str) -> None:
        run = getattr(net, name)

        def watched(*given: Any) -> Any:
            result = run(*given)
            if name == "read":
                caches.add(cache_of(result[1]))
            if name == "spread":
                caches.add(cache_of(result))
            most[0] = max(most[0], sum(map(taken, caches)))
            return result

        monkeypatch.setattr(net, name, watched)

    for name in ("read", "spread", "step", "keep"):
        watch(name)
    limit = net.position_bytes * 20 * 30
    batch = _torch_batch.Batch(net, text, capacity=1000, cache_bytes=limit)
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(2, 24, (90, 2), generator=generator).tolist()
    asks = [
        _torch_batch.Ask(at, (1, *[4] * (1 + width // 4)), 1 + at % 3, room, WARM, at)
        for at, (width, room) in enumerate(lengths)
    ]
    for first in range(0, len(asks), 15):
        batch.admit(asks[first : first + 15])
        batch.advance(0.01)
    batch.advance(math.inf)
    assert batch.rows == 0
    assert 0.2 * limit < most[0] <= limit
