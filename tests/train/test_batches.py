"""Batches: what is learnt of a text, what counts as a token, and going on from any place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

import pytest

torch = pytest.importorskip("torch")

from ponder.errors import InputError  # noqa: E402
from ponder.tasks.chars import Example, examples  # noqa: E402
from ponder.train.batches import IGNORED, Batch, batches, encode, epochs  # noqa: E402
from ponder.train.models import CONTEXT, EOS, PAD, VOCABULARY  # noqa: E402

LETTERS = {i: c for c, i in VOCABULARY.items()}
MIXED = [("char_countdown:numbers=4", "steps", 1.0), ("char_chain:operations=6", "answer", 1.0)]


def mixed(start: int) -> Iterator[Example]:
    return examples(MIXED, recipe="random", seed=0, start=start)  # type: ignore[arg-type]


def taught(batch: Batch) -> list[str]:
    """What each row is to say, the end token as a dollar."""
    labels = [row for part in batch.parts for row in part.labels.tolist()]
    return [_text(i for i in row if i != IGNORED) for row in labels]


def rows(batch: Batch) -> list[str]:
    """The rows as text, the end token as a dollar, without padding."""
    ids = [row for part in batch.parts for row in part.ids.tolist()]
    return [_text(i for i in row if i != PAD) for row in ids]


def _text(ids: Iterable[int]) -> str:
    return "".join("$" if i == EOS else LETTERS[i] for i in ids)


def test_every_position_of_the_reply_is_taught_and_the_end_token() -> None:
    texts = [Example("1+2:", "3.", "a"), Example("7#", "12.", "b")]
    ((batch, place),) = batches(lambda start: iter(texts[start:]), tokens=100)
    assert sorted(taught(batch)) == ["12.$", "3.$"]
    assert batch.tokens == len("1+2:3.$") + len("7#12.$")
    assert batch.targets == len("3.$") + len("12.$")
    assert (batch.rows, batch.positions, place) == (2, 2 * 7, 2)
    (part,) = batch.parts
    for ids, labels in zip(part.ids.tolist(), part.labels.tolist(), strict=True):
        assert all(label in (IGNORED, ids[t + 1]) for t, label in enumerate(labels[:-1]))


def test_all_positions_are_taught_when_asked() -> None:
    texts = [Example("1+2:", "3.", "a")]
    ((batch, _),) = batches(lambda start: iter(texts[start:]), tokens=9, loss_on="all")
    assert taught(batch) == ["+2:3.$"]


def test_a_batch_is_a_run_of_the_stream_and_padding_is_small() -> None:
    place = tokens = positions = 0
    for batch, reached in islice(batches(mixed, tokens=2048), 40):
        run = islice(mixed(place), reached - place)
        assert Counter(rows(batch)) == Counter(e.prompt + e.reply + "$" for e in run)
        assert 2048 <= batch.tokens < 2048 + CONTEXT
        tokens, positions, place = tokens + batch.tokens, positions + batch.positions, reached
    assert place > 1000
    assert 1.0 <= positions / tokens < 1.25


def test_from_any_place_the_rest_is_the_same() -> None:
    whole = list(islice(batches(mixed, tokens=1024), 20))
    for taken in (1, 7, 19):
        again = islice(batches(mixed, start=whole[taken - 1][1], tokens=1024), 20 - taken)
        for (one, place), (other, reached) in zip(whole[taken:], again, strict=True):
            assert place == reached
            for part, twin in zip(one.parts, other.parts, strict=True):
                assert torch.equal(part.ids, twin.ids)
                assert torch.equal(part.labels, twin.labels)


def test_epochs_go_through_the_whole_set_in_changing_order() -> None:
    texts = [Example(f"{n}:", ".", str(n)) for n in range(50)]
    stream = epochs(texts, seed=1)
    three = list(islice(stream(0), 150))
    parts = [three[at : at + 50] for at in (0, 50, 100)]
    assert all(sorted(part, key=texts.index) == texts for part in parts)
    assert parts[0] != parts[1] != parts[2]
    assert list(islice(stream(73), 77)) == three[73:]


@pytest.mark.parametrize(
    ("reply", "complaint"),
    [
        ("é.", "'é', which is not in the alphabet"),
        ("A.", "'A', which is not"),
        ("1" * CONTEXT, "the most is"),
    ],
)
def test_a_text_that_cannot_be_learnt_is_refused(reply: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        encode(Example("1:", reply, "k"))


def test_no_examples_at_all_are_refused() -> None:
    with pytest.raises(InputError, match="give at least one"):
        epochs([], seed=0)
    assert list(batches(lambda start: iter(()), tokens=64)) == []
