import string
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core import Sample
from ponder.serve.hiding import REDACTED, SPAN_CHARACTERS, letters_of, part, redact, squash

THOUGHT = "First I add the tens and then the ones, which leaves a carry that I must not forget to add."


def spans(text: str, length: int = SPAN_CHARACTERS + 1) -> set[str]:
    return {text[i : i + length] for i in range(len(text) - length + 1)}


def test_a_copied_span_is_cut_and_counted() -> None:
    shown = redact(f"Well: {THOUGHT} So 12.", [THOUGHT], [])
    assert shown.text == f"Well: {REDACTED} So 12."
    assert shown.cuts == 1


def test_what_the_caller_said_himself_stays() -> None:
    text = f"You wrote: {THOUGHT}"
    assert redact(text, [THOUGHT], [f"I think: {THOUGHT}"]).text == text


@pytest.mark.parametrize(
    "respelt",
    [
        THOUGHT.upper(),
        THOUGHT.replace(" ", "  "),
        THOUGHT.replace(" ", "_"),
        " ".join(THOUGHT),
        THOUGHT.replace("e", "ｅ"),
    ],
)
def test_a_respelt_copy_is_a_copy(respelt: str) -> None:
    shown = redact(f"It is {respelt}!", [THOUGHT], [])
    assert shown.cuts >= 1
    assert "carry" not in shown.text.lower().replace(" ", "")


def test_a_code_is_cut_though_it_is_short() -> None:
    thought = "the marker is ZX81-QK7 and 1234567890 is the sum"
    assert redact("It said ZX81-QK7.", [thought], []).text == f"It said {REDACTED}."
    assert redact("It said zx81-qk7.", [thought], []).cuts == 1
    assert redact("The sum is 1234567890.", [thought], []).cuts == 0
    assert redact("It said ZX81-QK7.", [thought], ["What is ZX81-QK7?"]).cuts == 0


some_words = st.text(string.ascii_lowercase + "0123456789", min_size=1, max_size=12)
words = st.lists(some_words, max_size=40).map(" ".join)


@given(words, words, words, st.integers(0, 2**32))
def test_no_long_span_of_a_thought_is_ever_shown(thought: str, own: str, said: str, seed: int) -> None:
    rng = Random(seed)
    start = rng.randrange(len(thought) + 1)
    text = said + thought[start : start + rng.randrange(120)] + own
    shown = redact(text, [thought], [own]).text
    assert not (spans(shown) & spans(thought)) - spans(own)


@given(words, words)
def test_nothing_is_cut_from_a_text_that_shares_nothing(thought: str, text: str) -> None:
    assert redact(text.replace(" ", "-"), [thought.upper()], [text, text.replace(" ", "-")]).cuts == 0


@pytest.mark.parametrize(
    ("sample", "thought", "answer"),
    [
        (Sample("9 + 4 = 13.\nAnswer: 13", "13"), "9 + 4 = 13.\n", "13"),
        (Sample("Hm.\nAnswer: 1\nNo.\n**Answer:** 2", "2"), "Hm.\nAnswer: 1\nNo.\n", "2"),
        (Sample("The sum is 13.", "13"), "The sum is \n.", "13"),
        (Sample("I cannot say.", None), "I cannot say.", ""),
        (Sample("It is 13.", "13", reasoning="9 and 4"), "9 and 4", "It is 13."),
        (Sample("So\nAnswer: 13", "13", reasoning="9 and 4"), "9 and 4\nSo\n", "13"),
        (Sample("It is.\nAnswer:", None), "It is.\nAnswer:", ""),
        (Sample("Less.\nAnswer: -13", "-13"), "Less.\n", "-13"),
        (Sample("So\n**Answer:** (a) <b>", None), "So\n", "(a) <b>"),
        (Sample("So\n**Answer: $5**", None), "So\n", "$5"),
        (Sample("So\n- **Answer**: see **5**", None), "So\n", "see **5**"),
        (Sample("So\nAnswer: **5**", None), "So\n", "**5**"),
    ],
)
def test_a_sample_is_parted(sample: Sample, thought: str, answer: str) -> None:
    parted = part(sample, direct=False)
    assert (parted.thought, parted.answer) == (thought, answer)


def test_a_direct_sample_is_all_answer() -> None:
    assert part(Sample("a\nAnswer: b"), direct=True).answer == "a\nAnswer: b"
    assert part(Sample("a", reasoning="r"), direct=True).thought == "r"


@given(st.one_of(st.text(st.characters(max_codepoint=127)), st.text()))
def test_the_short_way_to_a_texts_letters_is_the_long_one(text: str) -> None:
    assert squash(text) == "".join(map(letters_of, text))
