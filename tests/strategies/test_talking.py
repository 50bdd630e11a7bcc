"""Strategies that talk to models: right, adversarial and garbage judges; a large model asked when unsure."""

import re
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core import Answer, Budget, Draw, Prompt, Question, Reply, Request, Sample, Score, Wave
from ponder.engines.scripted import ScriptedEngine
from ponder.errors import InputError
from ponder.solve import Meter, Solution, Solver
from ponder.strategies import plan
from ponder.verifiers import scorer
from tests.solve.conftest import QUESTION

TALKING = ["judge_vote", "verify", "revise", "cascade", "mixture"]
MARK = re.compile(r"\[\[(?:answer|critique)(?: [A-H])? ([A-P]+)\]\]")


def last(request: Request) -> str:
    return request.prompt.messages[-1].content


def mark_in(prompt: str) -> str:
    found = MARK.search(prompt)
    assert found
    return found.group(1)


def solver(*texts: str) -> ScriptedEngine:
    """Hands these out in turn, for ever."""
    return ScriptedEngine(lambda request, position: texts[position % len(texts)])


def saying(reply: Callable[[str], str]) -> ScriptedEngine:
    """A judge whose reply depends on the last turn alone."""
    return ScriptedEngine(lambda request, position: reply(last(request)))


async def run(text: str, budget: Budget | None = None, **engines: ScriptedEngine) -> Solution:
    solving = Solver(engines, scorers={"judge": scorer("judge")})
    return await solving.run(plan(text), QUESTION, Meter(budget or Budget()))


# ---------------------------------------------------------------- judge_vote


def picking(wanted: str) -> Callable[[str], str]:
    """A judge who names the letter of this answer."""

    def reply(prompt: str) -> str:
        found = re.search(rf"\[\[answer ([A-H]) [A-P]+\]\]\n{wanted}\n", prompt)
        return f"Verdict {mark_in(prompt)}: {found.group(1)}" if found else "none"

    return reply


@pytest.mark.parametrize("wanted", ["7", "8", "9"])
async def test_judges_overrule_the_vote(wanted: str) -> None:
    """A judge that is right makes it right, an adversarial one wrong."""
    solution = await run("judge_vote:n=4", solver=solver("8", "8", "7", "9"), judge=saying(picking(wanted)))
    assert solution.answer == Answer(wanted, wanted, agreement=1.0)


async def test_a_judge_with_a_favourite_place_has_no_favourite_answer() -> None:
    """Each judge sees an order of its own, so one that always says A votes for every answer alike."""
    judge = saying(lambda prompt: f"Verdict {mark_in(prompt)}: A")
    solution = await run("judge_vote:n=2,judges=60", solver=solver("7", "8"), judge=judge)
    assert solution.answer.agreement is not None
    assert 0.5 <= solution.answer.agreement < 0.75


@pytest.mark.parametrize("said", ["", "A", "Verdict: A", "Verdict ABCD: A", "I like answer A best."])
async def test_without_a_readable_judge_it_is_the_vote(said: str) -> None:
    solution = await run("judge_vote:n=3", solver=solver("7", "8", "8"), judge=saying(lambda prompt: said))
    assert solution.answer == Answer("8", "8", agreement=2 / 3)


async def test_a_letter_beyond_the_answers_is_no_vote() -> None:
    judge = saying(lambda prompt: f"Verdict {mark_in(prompt)}: C")
    solution = await run("judge_vote:n=3", solver=solver("7", "8", "8"), judge=judge)
    assert solution.answer.choice == "8"


async def test_answers_that_agree_need_no_judge() -> None:
    judge = saying(picking("7"))
    for text in ("judge_vote:n=3", "verify:n=3"):
        solution = await run(text, solver=solver("7", "7", "nothing"), judge=judge)
        assert solution.answer.choice == "7"
    assert judge.calls == 0


# ---------------------------------------------------------------- verify


def checking(share: dict[str, float]) -> ScriptedEngine:
    """Says Yes to this share of the verifications of an answer."""

    def reply(request: Request, position: int) -> str:
        prompt = last(request)
        found = re.search(r"\[\[answer [A-P]+\]\]\n(.*)\n\[\[end", prompt)
        yes = found is not None and position < 4 * share[found.group(1)]
        return f"Checked.\nVerdict {mark_in(prompt)}: {'Yes' if yes else 'No'}"

    return ScriptedEngine(reply)


async def test_the_answer_with_the_largest_share_of_yes_wins() -> None:
    judge = checking({"7": 0.75, "8": 0.5, "9": 0.0})
    solution = await run("verify:n=4", solver=solver("8", "8", "7", "9"), judge=judge)
    assert solution.answer.choice == "7"
    assert sum(request.n for request in judge.requests) == 12  # the 8 is verified once for both


async def test_equally_verified_answers_are_voted_on() -> None:
    judge = checking({"7": 0.5, "8": 0.5, "9": 0.25})
    solution = await run("verify:n=6", solver=solver("7", "8", "9", "8", "9", "9"), judge=judge)
    assert solution.answer.choice == "8"


async def test_unreadable_verifications_leave_the_vote() -> None:
    judge = saying(lambda prompt: "Yes, certainly. Verdict: Yes")
    solution = await run("verify:n=3", solver=solver("7", "8", "8"), judge=judge)
    assert solution.answer.choice == "8"


# ---------------------------------------------------------------- revise


def critic(right: str) -> ScriptedEngine:
    """Finds no error in this answer and one in every other; as scorer it prefers what is nearer to it."""

    def reply(prompt: str) -> str:
        found = re.search(r"\[\[answer [A-P]+\]\]\n(?:Answer: )?(\d+)\n\[\[end", prompt)
        value = found.group(1) if found else ""
        if "first error" in prompt:
            word = "correct" if value == right else "wrong"
            return f"It says {value}.\nVerdict {mark_in(prompt)}: {word}"
        return f"Verdict {mark_in(prompt)}: {max(0, 10 - abs(int(value) - int(right)))}"

    return saying(reply)


async def test_revise_stops_when_the_critique_finds_nothing() -> None:
    drafts = ScriptedEngine.queued(["9", "Answer: 8", "Answer: 7", "Answer: 6"])
    judge = critic("7")
    solution = await run("revise:rounds=5", solver=drafts, judge=judge)
    assert solution.answer.choice == "7"
    assert (drafts.calls, judge.calls) == (3, 3)
    assert "[[critique" in last(drafts.requests[1])
    assert "It says 9." in last(drafts.requests[1])
    assert "7" not in last(drafts.requests[2]).replace("3 + 4", "").partition("[[end")[0]


async def test_a_draft_without_an_answer_is_not_the_answer_even_where_the_critique_finds_no_error() -> None:
    drafts = ScriptedEngine.queued(["Answer: 7", "I do not know"])

    def reply(prompt: str) -> str:
        word = "correct" if "I do not know" in prompt else "wrong"
        return f"Fine.\nVerdict {mark_in(prompt)}: {word}"

    solution = await run("revise:rounds=3", solver=drafts, judge=saying(reply))
    assert drafts.calls == 2
    assert solution.answer.choice == "7"


async def test_revise_keeps_the_draft_that_the_scorer_likes_best() -> None:
    drafts = ScriptedEngine.queued(["8", "Answer: 20", "Answer: 30"])
    solution = await run("revise:rounds=2", solver=drafts, judge=critic("7"))
    assert solution.answer.choice == "8"


async def test_a_critic_that_cannot_be_read_leaves_the_vote_of_the_drafts() -> None:
    drafts = ScriptedEngine.queued(["8", "Answer: 20", "Answer: 20"])
    solution = await run("revise:rounds=2", solver=drafts, judge=saying(lambda prompt: "Verdict: correct"))
    assert solution.answer.choice == "20"


# ---------------------------------------------------------------- cascade


@pytest.mark.parametrize(
    ("small", "asked"),
    [
        (("8", "8", "8", "8"), False),
        (("8", "8", "8", "9"), False),
        (("8", "8", "9", "9"), True),
        (("8", "8", "none", "none"), True),
        (("none", "none", "none", "none"), True),
    ],
)
async def test_the_large_model_is_asked_exactly_where_the_small_one_is_unsure(
    small: tuple[str, ...], asked: bool
) -> None:
    large = solver("7")
    solution = await run("cascade:n=4,threshold=0.75", solver=solver(*small), large=large)
    assert (large.calls > 0) is asked
    assert solution.answer.choice == ("7" if asked else "8")


async def test_a_large_model_that_says_nothing_leaves_the_small_ones_vote() -> None:
    solution = await run("cascade:n=3", solver=solver("8", "8", "9"), large=solver("no idea"))
    assert solution.answer.choice == "8"


async def test_without_a_large_model_it_is_refused_at_the_start() -> None:
    small = solver("7")
    for text in ("cascade", "mixture"):
        with pytest.raises(InputError, match="needs a model for the role 'large'"):
            await run(text, solver=small)
    assert small.calls == 0


# ---------------------------------------------------------------- mixture


async def test_all_propose_and_one_aggregates() -> None:
    def aggregate(prompt: str) -> str:
        seen = re.findall(r"\[\[answer [A-P]+\]\]\n(\d+)\n", prompt)
        return f"Answer: {sum(map(int, seen))}"

    solution = await run(
        "mixture:n=2,roles=solver+large+other,aggregator=chair",
        solver=solver("1", "2"),
        large=solver("10", "20"),
        other=solver("100", "100"),
        chair=saying(aggregate),
    )
    assert solution.answer.choice == "133"  # equal texts are shown once
    assert solution.usage.samples == 7


async def test_every_further_layer_reads_the_one_before() -> None:
    def propose(request: Request, position: int) -> str:
        seen = re.findall(r"\[\[answer [A-P]+\]\]\n(?:Answer: )?(\d+)\n", last(request))
        return f"Answer: {1 + max(map(int, seen), default=0)}"

    engine = ScriptedEngine(propose)
    solution = await run("mixture:layers=3,roles=solver,aggregator=judge", solver=engine)
    assert solution.answer.choice == "4"
    assert engine.calls == 4


async def test_an_aggregator_that_cannot_be_read_leaves_the_vote() -> None:
    judge = solver("no idea")
    solution = await run("mixture:n=3,roles=solver", solver=solver("8", "8", "9"), judge=judge)
    assert solution.answer.choice == "8"


# ---------------------------------------------------------------- whatever is said

words = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        ["Verdict {m}: A", "Verdict {m}: Yes", "Verdict {m}: correct", "Verdict {m}: 9", "[[end"]
    ),
)
said = st.lists(st.tuples(words, st.sampled_from(["7", "8", "9", None])), min_size=1, max_size=8)


def serve(wave: Wave, replies: list[tuple[str, str | None]], turn: int, *, final: bool, whole: bool) -> Reply:
    """Answers of every kind; at the end of the budget, unless `whole`, only the first half of each ask's."""
    drawn: list[tuple[Sample, ...]] = []
    scores: list[tuple[float | None, ...]] = []
    for place, ask in enumerate(wave.asks):
        if isinstance(ask, Score):
            drawn.append(())
            scores.append(tuple(None if i % 3 else (i + turn) % 5 / 4 for i in range(len(ask.samples))))
            continue
        scores.append(())
        prompt = (
            ask.prompt.messages[-1].content if isinstance(ask.prompt, Prompt) and ask.prompt.messages else ""
        )
        found = MARK.search(prompt)
        rows = [
            replies[(turn + place + i) % len(replies)]
            for i in range(ask.n // 2 if final and not whole else ask.n)
        ]
        told = [
            Sample(text.replace("{m}", found.group(1) if found else ""), choice, i)
            for i, (text, choice) in enumerate(rows)
        ]
        drawn.append(tuple(told))
    return Reply(tuple(drawn), tuple(scores), final)


def drive(
    name: str,
    question: Question,
    replies: list[tuple[str, str | None]],
    until: int,
    seed: int,
    *,
    whole: bool = False,
) -> tuple[Answer, list[Wave]]:
    strategy = plan(name).begin(question, Random(seed))
    waves = [next(strategy)]
    for turn in range(40):
        reply = serve(waves[-1], replies, turn, final=turn >= until, whole=whole)
        try:
            waves.append(strategy.send(reply))
        except StopIteration as end:
            answer: Answer = end.value
            return answer, waves
        assert not reply.final, "it asked on after the budget was spent"
    pytest.fail("it went on asking")


@given(st.sampled_from(TALKING), said, st.integers(0, 6), st.integers(0, 99), st.text(max_size=30))
def test_whatever_is_said_it_answers_with_a_drawn_choice(
    name: str, replies: list[tuple[str, str | None]], until: int, seed: int, asked: str
) -> None:
    question = Question("q", asked, Prompt((), "worked"), Prompt((), "direct"))
    answer, waves = drive(name, question, replies, until, seed)
    assert answer.choice in {choice for _, choice in replies} | {None}
    assert answer.agreement is None or 0 < answer.agreement <= 1
    again, same = drive(name, question, replies, until, seed)
    assert (again, same) == (answer, waves)
    if until > 0 and all(choice for _, choice in replies):
        assert answer.choice is not None


@pytest.mark.parametrize("name", TALKING)
@pytest.mark.parametrize("until", range(6))
def test_it_asks_nothing_after_the_budget_was_spent_on_the_last_sample(name: str, until: int) -> None:
    for replies in ([("a", "7"), ("b", "8"), ("c", "9")], [("a", None)]):
        answer, waves = drive(name, QUESTION, list(replies), until, 0, whole=True)
        assert len(waves) <= until + 1
        assert (answer.choice is None) == (replies[0][1] is None)


@pytest.mark.parametrize("name", TALKING)
@pytest.mark.parametrize("tokens", [20, 60, 150, 400, 900, 2000, 6000])
async def test_the_judges_tokens_are_on_the_budget(name: str, tokens: int) -> None:
    def reply(request: Request, position: int) -> str:
        marks = MARK.search(last(request))
        return str(7 + position % 3) if marks is None else f"Fine.\nVerdict {marks.group(1)}: A"

    engine = ScriptedEngine(reply)
    solution = await run(name, Budget(tokens=tokens), solver=engine, large=engine, judge=engine)
    assert solution.usage.tokens is not None
    assert solution.charged.tokens == solution.usage.tokens <= tokens
    assert solution.usage.samples == sum(request.n for request in engine.requests)


@pytest.mark.parametrize("name", TALKING)
def test_chats_are_asked_for_where_the_question_is_raw_text(name: str) -> None:
    """A prompt of a strategy's own is a chat, and its question the bare one."""
    question = Question("q", "What is 3 + 4?", Prompt((), "raw"), Prompt((), "raw"))
    _, waves = drive(name, question, [("a", "7"), ("b", "8"), ("c", "9")], 40, 0)
    own = [a.prompt for w in waves for a in w.asks if isinstance(a, Draw) and a.prompt is not None]
    assert own or name == "cascade"
    for prompt in own:
        assert prompt.text is None
        assert "What is 3 + 4?" in prompt.messages[-1].content
        assert prompt.messages[-1].role == "user"
