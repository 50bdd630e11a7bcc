"""An answer that grows: what is shown of it on the way is the beginning of what is shown of the whole."""

import string
import time
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.serve.growing import MOST_THOUGHT, Growing
from ponder.serve.hiding import REDACTED, cut, marks

THOUGHT = "First I add the tens and then the ones, which leaves a carry that I must not forget to add."


def grown(text: str, thought: str, allowed: list[str], sizes: Random) -> tuple[str, Growing]:
    growing, shown, at = Growing(thought, allowed), "", 0
    while at < len(text):
        size = sizes.choice((1, 2, 5, 40, 300))
        shown += growing.feed(text[at : at + size])
        at += size
    return shown, growing


def whole(text: str, growing: Growing, thought: str, allowed: list[str]) -> str:
    marked = marks(text, [thought], allowed)
    marked[: len(growing.marks)] = growing.marks
    return cut(text, marked).text


pieces = st.one_of(
    st.text(string.ascii_lowercase + "0123456789", min_size=1, max_size=12),
    st.sampled_from(
        [" ", ". ", "-", "ＺＸ８１", "straße", "ß9", "ﬁ", "\n", "_", "zx81-qk7", "İ", "ab12" * 60]
    ),
)
texts = st.lists(pieces, max_size=40).map(lambda parts: " ".join(parts) if len(parts) % 2 else "".join(parts))


@given(texts, texts, texts, texts, st.integers(0, 2**32))
def test_it_ends_as_the_whole_is_shown(thought: str, own: str, said: str, tail: str, seed: int) -> None:
    rng = Random(seed)
    start = rng.randrange(len(thought) + 1)
    copied = thought[start : start + rng.randrange(140)]
    respelt = rng.choice((copied, copied.upper(), copied.replace(" ", "  "), " ".join(copied)))
    text = said + respelt + tail
    shown, growing = grown(text, thought, [own], Random(seed))
    assert text.startswith(growing.text)
    # What the sample declares is known at the end alone. At most 40 characters long, it is shown.
    at = rng.randrange(len(text) + 1)
    for declared in ("", text[at : at + 40], respelt[:40]):
        allowed = [own, declared]
        expected = cut(text, marks(text, [thought], allowed)).text
        assert whole(text, growing, thought, allowed) == expected
        assert expected.startswith(shown)


@given(texts, st.integers(0, 2**32))
def test_without_a_thought_nothing_is_held_back(text: str, seed: int) -> None:
    assert grown(text, "", [], Random(seed))[0] == text


@given(st.lists(st.sampled_from(string.ascii_uppercase), max_size=200).map("".join), st.integers(0, 2**32))
def test_little_is_held_back_of_what_shares_nothing(text: str, seed: int) -> None:
    shown, _ = grown(text, "0123 " * 30, [], Random(seed))
    assert len(text) - len(shown) <= 7


def test_a_span_is_cut_before_the_end() -> None:
    growing = Growing(THOUGHT, [])
    shown = growing.feed(f"Well: {THOUGHT[:60]}")
    assert shown == f"Well: {REDACTED}"
    assert growing.feed("! So there, and that is all of it.").startswith("! So there")


def test_the_beginning_of_a_span_waits() -> None:
    growing = Growing(THOUGHT, [])
    assert growing.feed("Well: " + THOUGHT[:30]) == "Well: "
    assert growing.feed(" is a long way").startswith(THOUGHT[:30])


def test_a_code_waits_for_the_end_since_it_may_be_the_answer() -> None:
    growing = Growing("the marker is ZX81-QK7", [])
    assert growing.feed("It is ZX81-") == "It is "
    assert growing.feed("QK7. And so on and on and on.") == ""


def test_a_word_is_not_held_back_that_is_no_part_of_the_thought() -> None:
    growing = Growing("the marker is ZX81-QK7", [])
    assert growing.feed("ZX82-QK7") + growing.feed("-long-word") == "ZX82-QK7-long-word"


@pytest.mark.parametrize("letters", ["a", "ab", "0a"])
def test_no_texts_make_it_slow(letters: str) -> None:
    rng = Random(0)
    thought = "".join(rng.choices(letters, k=39)) * (MOST_THOUGHT // 39)
    growing = Growing(thought, [thought[:5000]])
    began = time.perf_counter()
    for _ in range(4000):
        growing.feed(rng.choice(letters))
    assert time.perf_counter() - began < 4


@pytest.mark.parametrize("sent", [True, False])
def test_a_long_text_of_the_callers_own_makes_no_piece_slow(sent: bool) -> None:
    rng = Random(0)
    own = " ".join("".join(rng.choices("abcdefgh", k=5)) for _ in range(200_000))
    thought = own[-3000:] if sent else own[:3000][::-1]
    growing = Growing(thought, [own])
    began = time.perf_counter()
    shown = growing.feed(thought)
    assert time.perf_counter() - began < 0.5
    assert (REDACTED in shown) is not sent


def test_after_a_thought_that_is_too_long_the_answer_is_whole() -> None:
    assert Growing("x " * MOST_THOUGHT, []).feed("Well. " * 20) == ""
