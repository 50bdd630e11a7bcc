"""Problems for character-level models: what is trained on, what is held out, and that both are right."""

from __future__ import annotations

import re
from collections import Counter
from itertools import islice
from random import Random
from statistics import mean, quantiles
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.errors import InputError
from ponder.tasks import checks, describe, load
from ponder.tasks.chars import (
    ALPHABET,
    END,
    FAMILIES,
    MARKS,
    Example,
    Mode,
    Recipe,
    examples,
    family,
    split_of,
)
from ponder.tasks.chars.solutions import balanced, instance, simplest
from ponder.tasks.chars.traces import LONGEST, trace
from ponder.tasks.extract import choice, search, steps
from ponder.tasks.prompts import PromptOverride
from ponder.verifiers import grader

SPECS = (
    "char_countdown",
    "char_countdown:numbers=3,largest=9",
    "char_countdown:numbers=5,search=true",
    "char_chain",
    "char_chain:operations=3",
    "char_facts",
    "char_facts:facts=5",
    "char_facts:given=true",
    "char_facts:given=true,pairs=2",
)
RECIPES: tuple[Recipe, ...] = get_args(Recipe)
FORMS = [(spec, mode, recipe) for spec in SPECS for mode in family(spec).modes for recipe in RECIPES]
forms = st.sampled_from(FORMS)
seeds = st.integers(0, 2**40)


def identity(prompt: str) -> str:
    """Which problem a prompt poses, read from the prompt alone."""
    body = prompt[:-1]
    if "=" in body:
        numbers, target = body.split("=")
        return f"{' '.join(map(str, sorted(map(int, numbers.split()))))}={target}"
    if ";" in body:
        pairs, asked = body.split(";")
        return f"{' '.join(sorted(pair.split()[0] for pair in pairs.split(',')))};{asked}"
    return body


@settings(max_examples=150)
@given(form=forms, seed=seeds, start=st.integers(0, 10**9))
def test_every_reply_is_read_as_correct_by_the_tasks_own_grader(
    form: tuple[str, Mode, Recipe], seed: int, start: int
) -> None:
    spec, mode, recipe = form
    of = family(spec)
    checker = grader(of.grader)
    for example in islice(examples([(spec, mode, 1.0)], recipe=recipe, seed=seed, start=start), 5):
        assert example.prompt[-1] == MARKS[mode]
        assert example.reply.endswith(END)
        assert example.reply.count(END) == 1
        assert set(example.prompt + example.reply) <= set(ALPHABET)
        problem = of.problem(example, "an id")
        question = problem.question
        assert question.prompt.text == example.prompt
        assert len(example.reply) <= question.max_tokens
        found = choice(question, example.reply)
        assert found is not None
        assert checker.grade(question, problem.key, found)
        # As an engine gives it: the stop string taken off.
        assert choice(question, example.reply.removesuffix(END)) == found
        # And it is no grader that accepts anything.
        wrong = re.sub(r"\d(?=\D*$)", lambda digit: str((int(digit[0]) + 1) % 10), example.reply)
        assert not checker.grade(question, problem.key, choice(question, wrong) or "")


@settings(max_examples=100)
@given(form=forms, seed=seeds, start=st.integers(0, 10**9))
def test_no_held_out_problem_is_ever_trained_on(
    form: tuple[str, Mode, Recipe], seed: int, start: int
) -> None:
    spec, mode, recipe = form
    for example in islice(examples([(spec, mode, 1.0)], recipe=recipe, seed=seed, start=start), 10):
        assert example.key == identity(example.prompt)
        if spec not in ("char_facts", "char_facts:facts=5"):
            assert split_of(example.key) == "train"


def is_memory(spec: str) -> bool:
    return spec.startswith("char_facts") and "given" not in spec


@pytest.mark.parametrize("spec", [spec for spec in SPECS if not is_memory(spec)])
def test_what_is_loaded_is_held_out(spec: str) -> None:
    found = load(spec, problems=60, seed=4).problems
    assert len({identity(f"{p.question.prompt.text}") for p in found}) == 60
    for problem in found:
        for prompt in (problem.question.prompt, problem.question.direct):
            assert split_of(identity(f"{prompt.text}")) == "test"


def test_the_split_is_a_tenth_and_for_good() -> None:
    sides = Counter(split_of(f"{n}=1") for n in range(20_000))
    assert 0.09 < sides["test"] / 20_000 < 0.11
    # Checkpoints and recorded runs rely on these.
    assert [n for n in range(60) if split_of(f"3 7 9 25={n}") == "test"] == [10, 51, 53, 59]


@settings(max_examples=60)
@given(
    mixture=st.lists(
        st.tuples(st.sampled_from(SPECS), st.just("steps"), st.floats(0.01, 10)), min_size=1, max_size=3
    ),
    recipe=st.sampled_from(RECIPES),
    seed=seeds,
    start=st.integers(0, 10**12),
    skipped=st.integers(0, 12),
)
def test_a_stream_is_resumed_at_any_place(
    mixture: list[tuple[str, Mode, float]], recipe: Recipe, seed: int, start: int, skipped: int
) -> None:
    whole = list(islice(examples(mixture, recipe=recipe, seed=seed, start=start), skipped + 3))
    rest = list(islice(examples(mixture, recipe=recipe, seed=seed, start=start + skipped), 3))
    assert whole[skipped:] == rest


def test_seeds_and_places_give_different_examples() -> None:
    def keys(seed: int, start: int) -> list[str]:
        stream = examples([("char_countdown", "steps", 1)], recipe="random", seed=seed, start=start)
        return [example.key for example in islice(stream, 200)]

    drawn = keys(0, 0) + keys(1, 0) + keys(0, 200) + keys(0, 2**63)
    assert len(set(drawn)) > 790  # of 1.8 million


def test_a_mixture_keeps_its_weights() -> None:
    mixture: list[tuple[str, Mode, float]] = [
        ("char_countdown", "steps", 6),
        ("char_chain", "answer", 3),
        ("char_facts", "steps", 1),
    ]
    stream = list(islice(examples(mixture, recipe="random", seed=1), 3000))
    marks = Counter("#" if e.prompt[-1] == "#" else "=" if "=" in e.prompt else ":" for e in stream)
    assert marks["="] / 3000 == pytest.approx(0.6, abs=0.03)
    assert marks["#"] / 3000 == pytest.approx(0.3, abs=0.03)


# ---------------------------------------------------------------- Countdown


def after(reply: str, numbers: list[int]) -> tuple[list[str], int, int]:
    """Follow a search by its own rules: (the steps left, the last result, how often it went back)."""
    states, kept, backs = [Counter(numbers)], list[str](), 0
    for line in reply.removesuffix(END).split("\n"):
        if line == "<":
            states.pop()
            kept.pop()
            backs += 1
            continue
        match = re.fullmatch(r"(\d+)([-+*])(\d+)=(\d+)", line)
        assert match, line
        a, operator, b, result = int(match[1]), match[2], int(match[3]), int(match[4])
        assert result == {"+": a + b, "-": a - b, "*": a * b}[operator]
        left = states[-1].copy()
        left.subtract([a, b])
        assert min(left.values()) >= 0, line
        left[result] += 1
        states.append(left)
        kept.append(line)
    return kept, int(kept[-1].rpartition("=")[2]), backs


@settings(max_examples=200)
@given(seed=seeds, count=st.integers(3, 5), largest=st.integers(5, 99), recipe=st.sampled_from(RECIPES))
def test_a_search_is_legal_and_ends_at_the_target(
    seed: int, count: int, largest: int, recipe: Recipe
) -> None:
    rng = Random(seed)
    numbers, target, _ = instance(rng, count, largest)
    written = trace(rng, numbers, target, recipe)
    if written is None:
        return
    kept, result, backs = after(written, numbers)
    assert result == target
    assert len(written) < LONGEST
    assert backs == written.count("<")
    assert search(written) == steps("\n".join(kept))
    # It stops at the first hit, and nothing is tried twice from the same state.
    hits = [line for line in written.split("\n") if line.endswith(f"={target}")]
    assert hits == [kept[-1]]
    tried, path = set[tuple[str, ...]](), list[str]()
    for line in written.split("\n"):
        if line == "<":
            path.pop()
        else:
            path.append(line)
            assert tuple(path) not in tried
            tried.add(tuple(path))


@pytest.mark.parametrize(("recipe", "backtracking"), [("curated", 0.5), ("random", 0.7)])
def test_searches_go_back_and_vary_in_length(recipe: Recipe, backtracking: float) -> None:
    """The lengths that docs/design/training-problems.md states."""
    rng, written, dropped = Random(7), list[str](), 0
    for _ in range(600):
        numbers, target, _ = instance(rng, 4, 25)
        found = trace(rng, numbers, target, recipe)
        dropped += found is None
        written += [] if found is None else [found]
    assert dropped / 600 < 0.015
    assert mean("<" in text for text in written) > backtracking
    low, *_, high = quantiles([len(text) + 1 for text in written], n=10)
    assert low < 30
    assert high > 190


@settings(max_examples=300)
@given(seed=seeds, count=st.integers(3, 6), largest=st.integers(5, 99))
def test_the_simplest_form_solves_and_has_nothing_needless(seed: int, count: int, largest: int) -> None:
    numbers, target, drawn = instance(Random(seed), count, largest)
    chosen = simplest(numbers, target, drawn)
    written = "\n".join(f"{a}{operator}{b}={result}" for a, operator, b, result in chosen)
    assert after(written, numbers)[1] == target
    assert len(chosen) <= len(drawn)
    assert [step[3] for step in chosen].count(target) == 1
    assert all(a >= b for a, _, b, _ in chosen)
    assert not any(operator == "*" and b == 1 for _, operator, b, _ in chosen)
    # Every result but the last is used, so no step could be left out.
    taken = Counter(n for a, _, b, _ in chosen for n in (a, b))
    assert not Counter(result for _, _, _, result in chosen[:-1]) - taken
    values = [*set(numbers), *(result for *_, result in chosen[:-1])]
    if len(set(values)) == len(values):  # else which of two equal values is taken is open
        assert simplest(numbers, target, chosen) == chosen


@pytest.mark.parametrize(
    ("numbers", "target", "drawn", "chosen"),
    [
        ((3, 9, 7, 2), 21, "2+3=5 5+9=14 14+7=21", "9+7=16 16+3=19 19+2=21"),
        ((3, 9, 7, 2), 21, "7+9=16 3+2=5 5+16=21", "9+7=16 16+3=19 19+2=21"),
        ((5, 7, 9, 3), 55, "5+3=8 7*9=63 63-8=55", "9*7=63 63-5=58 58-3=55"),
        ((9, 7, 5, 3), 55, "9*7=63 63-3=60 60-5=55", "9*7=63 63-5=58 58-3=55"),
        ((9, 7, 1, 4), 59, "7*1=7 9*7=63 63-4=59", "9*7=63 63-4=59"),  # a factor 1
        ((9, 7, 2, 2), 16, "9-2=7 7+7=14 14+2=16", "9+7=16"),  # 2 taken off and added
        ((9, 7, 4, 3), 63, "4-3=1 9*1=9 9*7=63", "9*7=63"),  # a factor that is 1
        ((9, 7, 6, 3), 16, "6-3=3 9+7=16 16*3=48", "9+7=16"),  # there before the end
        ((8, 6, 5, 2), 9, "8-6=2 2+5=7 7+2=9", "8+5=13 13+2=15 15-6=9"),
    ],
)
def test_equal_solutions_have_one_simplest_form(
    numbers: tuple[int, ...], target: int, drawn: str, chosen: str
) -> None:
    parsed = [re.fullmatch(r"(\d+)(.)(\d+)=(\d+)", step) for step in drawn.split()]
    walked = [(int(m[1]), m[2], int(m[3]), int(m[4])) for m in parsed if m]
    found = simplest(numbers, target, walked)
    assert " ".join(f"{a}{operator}{b}={result}" for a, operator, b, result in found) == chosen


def test_the_curated_recipe_is_balanced_over_targets() -> None:
    def spread(draw: object) -> float:
        rng = Random(3)
        counts = Counter(draw(rng, 4, 25)[1] for _ in range(6000))  # type: ignore[operator]
        return sum(counts[t] for t in range(1, 21)) / max(1, sum(counts[t] for t in range(81, 101)))

    assert spread(instance) > 3.5
    assert spread(balanced) < 1.5


def test_the_order_of_the_numbers_tells_nothing_of_the_solution() -> None:
    of, rng, places = family("char_countdown"), Random(11), Counter[tuple[int, ...]]()
    for _ in range(4000):
        example = of.example(rng, split="train", mode="steps", recipe="random")
        numbers = [int(n) for n in example.prompt.partition("=")[0].split()]
        first = re.match(r"(\d+)\D(\d+)", example.reply)
        assert first
        if len(set(numbers)) == 4:
            places[tuple(sorted(numbers.index(int(n)) for n in first.groups()))] += 1
    assert len(places) == 6
    assert max(places.values()) / sum(places.values()) < 0.2


@pytest.mark.parametrize("spec", ["char_countdown", "char_chain", "char_facts"])
def test_the_answer_does_not_stand_in_the_prompt(spec: str) -> None:
    """No place of the prompt can be copied from: what stands there is the answer by chance alone."""
    found = load(spec, problems=400, seed=2).problems
    hits = Counter[int]()
    for problem in found:
        question = problem.question
        if spec == "char_countdown":
            assert question.data["target"] not in question.data["numbers"]
            assert checks(question, question.text) == checks(question, str(question.data["target"])) == 0.0
        if spec == "char_facts":
            assert not re.search(r"\d", question.text)
        answer = problem.key.rpartition("=")[2].strip()
        if spec != "char_countdown":  # there the target is given, and the steps to it are the answer
            numbers = re.findall(r"\d+", question.text)
            hits.update(at - len(numbers) for at, n in enumerate(numbers) if n == answer)
    assert max(hits.values(), default=0) < 0.15 * len(found)


def test_given_facts_stand_in_the_prompt_at_any_place() -> None:
    places = Counter[int]()
    for problem in load("char_facts:given=true", problems=200, seed=2).problems:
        pairs, asked = problem.question.text.split(";")
        given_pairs = dict(pair.split() for pair in pairs.split(","))
        assert given_pairs[asked] == problem.key
        places[list(given_pairs).index(asked)] += 1
    assert set(places) == {0, 1, 2, 3}
    assert min(places.values()) > 25


def test_memorised_facts_are_one_table() -> None:
    few, more = (load(f"char_facts:facts={n}", problems=10_000, seed=1).problems for n in (50, 200))
    known = {p.question.text: p.key for p in more}
    assert (len(few), len(more)) == (50, 200)
    assert all(known[p.question.text] == p.key for p in few)
    order = [p.question.text for p in load("char_facts:facts=50", problems=50, seed=2).problems]
    assert sorted(order) == sorted(p.question.text for p in few)
    assert order != [p.question.text for p in few]
    stream = examples([("char_facts:facts=200", "steps", 1)], recipe="random", seed=5)
    for example in islice(stream, 2000):
        assert known.pop(example.key, example.reply[:-1]) == example.reply[:-1]
    assert not known  # all are trained on


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("3*4=12\n12-5=7\n<\n12+5=17.", "3 * 4 = 12; 5 + 12 = 17"),
        ("3*4=12\n12-5=7\n<\n<\n5-3=2\n4+2=6.", "5 - 3 = 2; 2 + 4 = 6"),
        ("3*4=12; <; 5-3=2", "5 - 3 = 2"),
        ("3*4=12\n12-5=7\n<\n12+", "3 * 4 = 12"),  # cut short in the middle of a line
        ("3*4=12\n12-5", "3 * 4 = 12"),
        ("3*4=12\n12-5\n12+5=17", None),  # but not anywhere else
        ("3*4=12\n<", None),  # nothing is left
        ("<", None),
        ("3*4=12\n<\n<\n3+4=7", None),  # nothing to take back
        ("3*4=12\n< \n5-3=2", "5 - 3 = 2"),
        ("3*4=12\nno\n5-3=2", None),
        ("3*4=12<", None),
        ("", None),
        ("no", None),
        ("3*4=12\n<\n" * 4000, None),  # too long to be read
        ("3*4=12\n<\n" * 900 + "5-3=2", "5 - 3 = 2"),
    ],
)
def test_a_search_is_read_as_what_it_leaves(text: str, left: str | None) -> None:
    question = load("char_countdown:search=true", problems=1, seed=0).problems[0].question
    assert search(text) == choice(question, text) == left
    assert left is None or search(left) == left


@given(text=st.text(alphabet="0123456789+-*/=;<. \n") | st.text())
def test_any_text_is_searched_without_an_error(text: str) -> None:
    found = search(text)
    assert found is None or search(found) == steps(found) == found
    if "<" not in text and steps(text) is not None:
        assert found == steps(text)


@pytest.mark.parametrize(
    ("text", "finished", "unfinished"),
    [
        ("3*4=12\n12-5=7\n<\n12+5=17", 1.0, 0.25),
        ("3*4=12\n12-5=7", 0.5, 0.25),
        ("3*4=12\n12-5=7\n<", 0.5, 0.75),  # back where 5 can be added
        ("3+4=7", 0.5, 0.25),
        ("3+4=7\n<", 0.0, 0.75),  # back at the start: no answer, but all is open
        ("3*4=13", 0.0, 0.0),
        ("3*4=13\n<", 0.0, 0.75),  # what is taken back does no harm
        ("3*4=13\n<\n3*4=12\n12+5=17", 1.0, 0.25),
        ("3*4=12\n<\n12+5=17", 0.0, 0.0),  # 12 is gone
        ("<", 0.0, 0.0),
        ("no", 0.0, 0.75),  # the beginning of a first line, for all that can be seen
        ("no\n", 0.0, 0.0),
        ("", 0.0, 0.75),
    ],
)
def test_a_search_is_checked_without_a_key(text: str, finished: float, unfinished: float) -> None:
    of = family("char_countdown:search=true")
    question = of.problem(Example("3 4 5=17?", "3*4=12\n12+5=17.", "3 4 5=17"), "an id").question
    assert checks(question, text) == finished
    assert checks(question, text, finished=False) == unfinished


def test_both_forms_of_countdown_have_the_same_problems() -> None:
    plain, searched = (load(f"char_countdown{form}", problems=40, seed=7) for form in ("", ":search=true"))
    own = grader("own")
    for one, other in zip(plain.problems, searched.problems, strict=True):
        assert one.question.text == other.question.text
        assert (one.question.data, one.key) == (other.question.data, other.key)
        assert own.grade(other.question, other.key, other.key)
        assert other.question.id.startswith("char_countdown:search=true/7-")
        assert other.key not in str(other.question.to_json())
    assert (plain.prompt_text, searched.prompt_text) == ("{question}:", "{question}?")


# ---------------------------------------------------------------- what is asked, and refused


@pytest.mark.parametrize("spec", SPECS)
def test_the_same_arguments_give_the_same_problems_and_more_extend_them(spec: str) -> None:
    five = load(spec, problems=5, seed=3).problems
    assert load(spec, problems=5, seed=3).problems == five
    more = load(spec, problems=30, seed=3).problems
    assert len({p.question.text for p in more}) == len(more)
    if not is_memory(spec):
        assert more[:5] == five
        assert load(spec, problems=5, seed=4).problems != five


def test_a_chain_is_asked_in_steps_or_for_the_answer_alone() -> None:
    question = load("char_chain:operations=4", problems=1, seed=0).problems[0].question
    assert question.prompt.text == f"{question.text}:"
    assert question.direct.text == f"{question.text}#"
    assert len(re.findall(r"[-+*]", question.text)) == 4
    assert choice(question, "7+5=12\n12-3=9\n9*2=18") == choice(question, "18") == "18"


def test_a_users_own_prompt() -> None:
    found = load("char_chain", problems=1, seed=0, prompt=PromptOverride("Work out {question} now"))
    question = found.problems[0].question
    assert question.prompt.text == f"Work out {question.text} now"
    assert found.prompt_text == "Work out {question} now"


@pytest.mark.parametrize("name", list(FAMILIES))
def test_a_familys_description(name: str) -> None:
    about = describe(name)
    assert about.parameters == family(name).defaults
    assert about.grader == family(name).grader
    assert len(set(ALPHABET)) == len(ALPHABET) == 52


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("char_countdown:numbers=2", "numbers must be a whole number from 3 to 6, not 2"),
        ("char_countdown:largest=true", "largest must be a whole number from 5 to 99, not True"),
        ("char_countdown:search=1", "search must be true or false, not 1"),
        ("char_chain:operations=6.5", "operations must be a whole number from 2 to 12"),
        ("char_facts:given=yes", "given must be true or false, not 'yes'"),
        ("char_facts:number=3", "no parameter 'number'; known are given, facts, pairs"),
    ],
)
def test_bad_parameters(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        load(spec, problems=1, seed=0)


def test_bad_streams() -> None:
    def first(*mixture: tuple[str, Mode, float], seed: int = 0, start: int = 0) -> None:
        examples(mixture, recipe="random", seed=seed, start=start)  # refused before the first is asked for

    with pytest.raises(InputError, match="at least one task"):
        first()
    for weight in (0, -1, float("inf"), float("nan")):
        with pytest.raises(InputError, match="a weight over 0"):
            first(("char_chain", "steps", weight))
    with pytest.raises(InputError, match="no examples for 'search'; it has steps and answer"):
        first(("char_chain", "search", 1))
    with pytest.raises(InputError, match="'countdown' has no texts to train on; known are char_countdown"):
        first(("countdown", "steps", 1))
    with pytest.raises(InputError, match="seed and start must be 0 or more"):
        first(("char_chain", "steps", 1), start=-1)


@pytest.mark.parametrize("spec", SPECS)
def test_what_forces_a_thought_is_written_in_the_models_letters(spec: str) -> None:
    """A search takes back the step that it ended with; texts in steps know no such word."""
    question = load(spec, problems=1, seed=0).problems[0].question
    searches = family(spec).mode == "search"
    assert question.forcing.conclude is None
    assert (question.forcing.prolong is not None) == searches
    prolong = question.forcing.prolong or ""
    assert set(prolong) <= set(ALPHABET)
    if searches:
        assert search("1+2=3\n3*4=12" + prolong + "3+4=7") == "1 + 2 = 3; 3 + 4 = 7"
