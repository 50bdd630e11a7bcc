"""Scores of a checkpoint on several tasks, and the FLOP of drawing."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from ponder import tasks  # noqa: E402
from ponder.core import Sampling  # noqa: E402
from ponder.engines._torch_batch import Ask, stream  # noqa: E402
from ponder.engines._torch_crew import open_local  # noqa: E402
from ponder.engines._torch_folder import read_folder  # noqa: E402
from ponder.engines._torch_text import Text  # noqa: E402
from ponder.errors import InputError  # noqa: E402
from ponder.tasks import chars  # noqa: E402
from ponder.train.counted import count_flop  # noqa: E402
from ponder.train.drawing import Drawer  # noqa: E402
from ponder.train.held_out import estimates  # noqa: E402
from ponder.train.scoring import TaskScore, broad_tasks, mean_estimate, score  # noqa: E402
from tests.train.teachers import TASK, TEACHER  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")


def test_scores_are_of_each_task_and_the_same_each_time() -> None:
    specs = (TASK, "char_chain:operations=3")
    found, work = score(TEACHER, specs, problems=20, draws=4, seed=3, device="cpu")
    again, _ = score(TEACHER, specs, problems=20, draws=4, seed=3, device="cpu")
    assert found == again
    assert list(found) == list(specs)
    known, unknown = (found[spec] for spec in specs)
    assert estimates(known.score, seed=0)[1].value > 0.8 > estimates(unknown.score, seed=0)[1].value
    for each in found.values():
        assert sum(each.lengths.values()) == 20 * 4
        assert [s > 0 for s in each.solutions] == [r > 0 for r in each.score.right]
        assert max(each.solutions) == 1  # a chain has one right answer
        assert TaskScore.from_json(each.to_json()) == each
    assert work.examples == 2 * 20 * 4
    assert work.tokens > sum(
        tokens * count for each in found.values() for tokens, count in each.lengths.items()
    )


def test_the_answer_alone_is_asked_for_where_there_is_such_a_form() -> None:
    found, _ = score(TEACHER, [TASK], problems=8, draws=2, seed=0, direct=True, device="cpu")
    steps, _ = score(TEACHER, [TASK], problems=8, draws=2, seed=0, device="cpu")
    assert found[TASK].score.right != steps[TASK].score.right
    assert sum(found[TASK].score.right) < sum(steps[TASK].score.right)


def test_no_task_is_an_error() -> None:
    with pytest.raises(InputError, match="tasks: name at least one"):
        score(TEACHER, [], problems=1, draws=1, seed=0)


@pytest.mark.parametrize(
    "task", ["char_chain:operations=6", "char_countdown:numbers=3", "char_facts:given=true"]
)
def test_at_least_three_other_tasks_are_scored(task: str) -> None:
    others = broad_tasks(task)
    assert len(set(others)) >= 3
    assert chars.family(task).name not in {chars.family(each).name for each in others}


def test_a_task_is_itself_however_it_is_spelt() -> None:
    assert broad_tasks("char_countdown") == broad_tasks("char_countdown:largest=25,numbers=4")
    assert "char_countdown:numbers=4" not in broad_tasks("char_countdown")


def test_a_mean_has_its_own_unit() -> None:
    found = mean_estimate([0, 2, 4, 8], most=8, seed=0)
    assert found.value == pytest.approx(3.5)
    assert 0 < found.low < 3.5 < found.high < 8


def test_flop_of_drawing_are_those_that_pytorch_counts() -> None:
    problems = tasks.load("char_chain:operations=6", problems=24, seed=0).problems
    with Drawer(TEACHER, device="cpu") as drawer:
        list(drawer.draw(problems, 8, temperature=1.0, seed=0))
        work = drawer.work
    opened = read_folder(TEACHER)
    text = Text(TEACHER, opened.config)
    most = problems[0].question.max_tokens
    asks = [
        Ask(at, text.encode(p.question.prompt), 8, most, Sampling(1.0), stream(0, at), 0, (".",))
        for at, p in enumerate(problems)
    ]
    # The sampler works in a thread of its own, where the counter does not see it.
    worker = open_local(opened, text, device="cpu", cache_bytes=1e9)
    progress, counted = count_flop(lambda: worker.advance(asks, (), 60.0))
    assert (worker.work.positions, progress.rows) == (work.positions, 0)
    assert counted == pytest.approx(work.flop, rel=0.02)
