from random import Random

import pytest

from ponder.errors import InputError
from ponder.tasks import chars
from ponder.tasks.chars import Split, split_of
from ponder.train.posing import check_posed, require_posable
from ponder.verifiers import grader

SPECS = (
    "char_chain:operations=3",
    "char_countdown:numbers=4",
    "char_countdown:numbers=3,largest=9,search=true",
)


def drawn(spec: str, split: Split, count: int = 200) -> list[chars.Example]:
    family, rng = chars.family(spec), Random(0)
    return [family.example(rng, split=split, mode=family.mode, recipe="random") for _ in range(count)]


@pytest.mark.parametrize("spec", SPECS)
def test_what_the_task_could_ask_is_taken_and_answered_alike(spec: str) -> None:
    family, known = chars.family(spec), drawn(spec, "train")
    found = check_posed(family, [each.prompt[:-1] for each in known], name="posed")
    assert found.malformed == found.held_out == 0
    assert len(found.problems) + found.repeated == len(known)
    by_text = {each.prompt[:-1]: each for each in known}
    for problem in found.problems:
        own = family.problem(by_text[problem.question.text], problem.question.id)
        assert problem.question == own.question
        verifier = grader(family.grader)
        assert verifier.grade(problem.question, problem.key, own.key)
        assert not verifier.grade(problem.question, problem.key, "1000")


@pytest.mark.parametrize("spec", SPECS)
def test_a_held_out_problem_is_never_taken(spec: str) -> None:
    held_out = [each.prompt[:-1] for each in drawn(spec, "test")]
    found = check_posed(chars.family(spec), held_out, name="posed")
    assert found.problems == ()
    assert found.held_out == len(held_out)


def test_a_problem_with_its_numbers_in_another_order_is_the_same_problem() -> None:
    family = chars.family("char_countdown:numbers=3")
    numbers = next(f"{a} 7 9=40" for a in range(10, 20) if split_of(f"7 9 {a}=40") == "train")
    first, *others = numbers.partition("=")[0].split()
    turned = f"{' '.join([*others, first])}=40"
    assert check_posed(family, [numbers, turned], name="posed").repeated == 1


@pytest.mark.parametrize(
    "text",
    ["", "1", "1+2", "1+2*3", "1+2*3-4+5", "0+1+1+1", "9*9*9-1", "1-2+3+4", "1+2*3-4:", "1+2*3/4", "1 2 3=4"],
)
def test_a_text_without_the_form_of_a_chain_is_refused(text: str) -> None:
    found = check_posed(chars.family("char_chain:operations=3"), [text], name="posed")
    assert (found.problems, found.malformed) == ((), 1)


@pytest.mark.parametrize(
    "text",
    [
        "1 2 3",
        "1 2=3",
        "1 2 3 4=9",
        "1 2 26=9",
        "1 2 3=101",
        "1 2 3=0",
        "01 2 3=9",
        "5 2 3=5",
        "1  2 3=9",
        "1 2 3=9 ",
    ],
)
def test_a_text_without_the_form_of_countdown_is_refused(text: str) -> None:
    found = check_posed(chars.family("char_countdown:numbers=3"), [text], name="posed")
    assert (found.problems, found.malformed) == ((), 1)


def test_facts_cannot_be_posed() -> None:
    with pytest.raises(InputError, match="no problems can be posed for char_facts"):
        require_posable(chars.family("char_facts:given=true"))
