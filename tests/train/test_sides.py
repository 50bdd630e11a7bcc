"""What is learned from and what is held out never meet, whatever the task."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ponder.core import Question
from ponder.errors import InputError
from ponder.tasks import load
from ponder.tasks.chars import split_of
from ponder.train.sides import Sides, key_of, sides

CHARS = (
    "char_countdown:numbers=4",
    "char_countdown:numbers=3,search=true",
    "char_chain:operations=5",
    "char_facts:given=true",
)


def key(question: Question) -> str:
    """A problem's key, read from its prompt alone."""
    text = question.text
    if question.task.startswith(("char_countdown", "countdown")):
        data = question.data
        return f"{' '.join(map(str, sorted(data['numbers'])))}={data['target']}"
    if question.task.startswith("char_facts"):
        pairs, _, name = text.partition(";")
        return f"{' '.join(sorted(pair.split()[0] for pair in pairs.split(',')))};{name}"
    return text


@pytest.mark.parametrize("task", [*CHARS, "countdown"])
def test_prompts_come_from_the_side_to_learn_from_alone(task: str) -> None:
    both = sides(task, learned=400, held_out=40, seed=3)
    assert len(both.learned) == 400
    assert len(both.held_out) == 40
    assert {split_of(key(p.question)) for p in both.learned} == {"train"}
    assert {split_of(key(p.question)) for p in both.held_out} == {"test"}
    assert len({p.question.id for p in both.held_out}) == 40


@pytest.mark.parametrize("task", CHARS)
def test_what_is_held_out_is_what_a_measurement_asks(task: str) -> None:
    both = sides(task, learned=4, held_out=30, seed=5)
    assert both.held_out == load(task, problems=30, seed=5).problems


def test_the_same_seed_gives_the_same_sides() -> None:
    def drawn(seed: int) -> Sides:
        return sides(CHARS[0], learned=50, held_out=5, seed=seed)

    assert drawn(1) == drawn(1)
    assert drawn(1).learned != drawn(2).learned


def test_a_file_is_split_by_its_questions_and_gone_through_again(tmp_path: Path) -> None:
    file = tmp_path / "sums.jsonl"
    rows = [{"question": f"{a}+{b}", "answer": a + b} for a in range(10) for b in range(10)]
    file.write_text("\n".join(map(json.dumps, rows)))
    both = sides(str(file), learned=300, held_out=500, seed=0)
    texts = [p.question.text for p in both.learned]
    assert len(texts) == 300
    assert {split_of(text) for text in texts} == {"train"}
    assert {split_of(p.question.text) for p in both.held_out} == {"test"}
    assert len(set(texts)) + len(both.held_out) == 100
    assert max(texts.count(text) for text in set(texts)) - min(texts.count(text) for text in set(texts)) <= 1


def test_a_question_asked_twice_in_a_file_is_on_one_side(tmp_path: Path) -> None:
    file = tmp_path / "twice.jsonl"
    rows = [{"question": f"What is {a}?", "answer": a} for a in range(60)] * 2
    file.write_text("\n".join(map(json.dumps, rows)))
    both = sides(str(file), learned=100, held_out=100, seed=0)
    held = [p.question.text for p in both.held_out]
    assert len(set(held)) == len(held)
    assert not set(held) & {p.question.text for p in both.learned}


def test_a_file_without_answers_has_no_verifier(tmp_path: Path) -> None:
    file = tmp_path / "open.jsonl"
    file.write_text('{"question": "What is love?"}\n')
    with pytest.raises(InputError, match="no answers, so that no verifier can reward"):
        sides(str(file), learned=1, held_out=1, seed=0)


def test_a_file_that_holds_nothing_out(tmp_path: Path) -> None:
    kept = next(text for text in map(str, range(100)) if split_of(text) == "train")
    file = tmp_path / "one.jsonl"
    file.write_text(json.dumps({"question": kept, "answer": "1"}) + "\n")
    with pytest.raises(InputError, match="holds no problems out"):
        sides(str(file), learned=4, held_out=4, seed=0)


def test_memorised_facts_hold_nothing_out() -> None:
    with pytest.raises(InputError, match="holds no problems out"):
        sides("char_facts:given=false", learned=10, held_out=10, seed=0)


def test_countdowns_key_does_not_depend_on_the_order_of_its_numbers() -> None:
    first, second = (
        Question("a", "", load("countdown", problems=1, seed=0).problems[0].question.prompt,
                 load("countdown", problems=1, seed=0).problems[0].question.prompt,
                 data={"checks": "countdown", "numbers": numbers, "target": 24})
        for numbers in ([7, 3, 9], [9, 7, 3])
    )  # fmt: skip
    assert key_of(first) == key_of(second) == "3 7 9=24"
