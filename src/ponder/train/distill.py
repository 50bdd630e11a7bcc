"""Symbolic chain-of-thought distillation (Li et al. 2023, arXiv 2306.14050): a teacher's rationales teach a
smaller student.

The teacher draws N rationales to each unlabelled problem; the verifier may leave the wrong ones out. One
student learns from each N, at equal training tokens and once at a single pass; one learns the same answers
without the steps. All are scored on the same held-out problems, and what the teacher and the students took
stands apart.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from ponder.core import Model, digest
from ponder.data import table
from ponder.engines._torch_folder import read_folder
from ponder.errors import InputError, UnknownName
from ponder.ledger import Ledger
from ponder.tasks import chars
from ponder.tasks.chars import END, MARKS, Example
from ponder.train.batches import epochs
from ponder.train.devices import choose, processes_on
from ponder.train.distill_result import Distilled, Student
from ponder.train.generate import Choice, Drawn, How, draw_replies
from ponder.train.ladder_plan import named_size
from ponder.train.learning import Scored, Scoring, learn, names, schedule, score_piece, tokens_of
from ponder.train.models import (
    is_checkpoint,
    new_model,
    open_checkpoint,
    read_training,
    require_training,
    write_checkpoint,
)
from ponder.train.pieces import Pieces, pieces_in
from ponder.train.rl_state import replace_text
from ponder.train.scoring import broad_tasks
from ponder.train.sides import sides

__all__ = ["RESULT", "DistillSettings", "distill"]

RESULT = "distill.json"
"""The result's file, in the campaign's folder."""

Filter = Literal["verifier", "none"]
_LIKE = "154k"  # whose learning rate a student takes that is no size of the ladder's


@dataclass(frozen=True, slots=True)
class DistillSettings:
    """What to distill. `teacher` is a checkpoint folder; `student` a size of the ladder's, which starts
    afresh, or a checkpoint folder. `rationales` are the numbers of the teacher's replies to each of
    `problems` problems, from each of which a student learns. `tokens` are each student's training tokens,
    by default one pass over what the largest number gives. `answers` has one learn the answers alone,
    by default where the task has such a form.
    """

    teacher: Path
    student: str
    rationales: tuple[int, ...] = (1, 4, 16, 32)
    task: str = "char_chain:operations=6"
    problems: int = 4000
    filter: Filter = "verifier"
    answers: bool | None = None
    tokens: int | None = None
    learning_rate: float | None = None
    temperature: float = 1.0
    eval_problems: int = 200
    eval_draws: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.student.strip():
            raise InputError("student: it is empty; give a size of the ladder's or a checkpoint's folder.")
        if not self.rationales or any(n < 1 for n in self.rationales):
            raise InputError("rationales: give at least one number, each of 1 or more, for example 1,4,16.")
        for name in ("problems", "tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name}: it must be at least 1, not {value}.")
        if self.filter not in ("verifier", "none"):
            raise UnknownName("filter", self.filter, ["verifier", "none"])
        has_form = "answer" in chars.family(self.task).modes
        if self.answers and not has_form:
            raise InputError(f"answers-only: {self.task} has no form that asks for the answer alone.")

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of rationales, each once, in order."""
        return tuple(sorted(set(self.rationales)))

    @property
    def with_answers(self) -> bool:
        """Whether a student learns the answers alone."""
        return "answer" in chars.family(self.task).modes if self.answers is None else self.answers

    def config(self, teacher: Model) -> dict[str, Any]:
        """What a run is bound to."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values |= {"teacher": teacher.name, "weights": teacher.fingerprint, "rationales": self.numbers}
        if Path(self.student).is_dir():
            values["student_weights"] = read_folder(Path(self.student)).model.fingerprint
        return {"kind": "train", "verb": "distill", **values}


def distill(
    settings: DistillSettings,
    *,
    ledger: Ledger,
    out: Path | Callable[[str], Path],
    run: str | None = None,
    processes: int | None = None,
    device: str = "auto",
    tell: Callable[[str], None] = lambda line: None,
) -> Distilled:
    """Distill, and write the students' checkpoints and the result into `out` (a folder, or what makes one of
    the run's name). Everything that it took is booked on `ledger`. It can be killed at any time and run
    again; a run that is finished is read.

    Raises MissingExtra, CheckpointInvalid, InputError, UnknownName, RunChanged, TrainingDiverged,
    OutOfMemory, LedgerError.
    """
    require_training()
    where = choose(device)
    model = read_folder(settings.teacher).model
    config = settings.config(model)
    name = run or f"distill-{digest(config)[:8]}"
    with pieces_in(out(name) if callable(out) else out, config, ledger, name) as pieces:
        work = _Work(settings, pieces, where, processes_on(where, processes), tell)
        result = work.result()
        replace_text(pieces.folder / RESULT, json.dumps(result.to_json(), indent=1, allow_nan=False) + "\n")
        pieces.recorder.event("finished", {"verb": "distill", "folder": str(pieces.folder)})
    return result


class _Work:
    """A distillation under way."""

    def __init__(
        self,
        settings: DistillSettings,
        pieces: Pieces,
        device: str,
        processes: int,
        tell: Callable[[str], None],
    ) -> None:
        self.settings, self.pieces, self.device, self.tell = settings, pieces, device, tell
        self.begin, self.rate, self.before = _student(settings)
        self.how = How(max(settings.numbers), settings.temperature, settings.seed, processes, device)
        self.scoring = Scoring(
            settings.task,
            broad_tasks(settings.task),
            settings.eval_problems,
            settings.eval_draws,
            settings.seed,
            settings.temperature,
            processes,
            device,
        )

    def result(self) -> Distilled:
        settings = self.settings
        drawn = self._rationales()
        largest = drawn.texts()
        if not largest:
            raise InputError(
                f"teacher: none of its {len(drawn.attempts) * self.how.samples:,} replies is right; give a "
                "better one, or learn from all with --filter none."
            )
        tokens = settings.tokens or tokens_of(largest)
        students = [self._untrained()]
        for n in settings.numbers:
            texts = drawn.texts(n)
            if not texts:
                raise InputError(f"rationales: of {n} a problem none is right; give more problems.")
            students.append(self._taught(f"rationales-{n}", n, texts, tokens, drawn))
            once = tokens_of(texts)
            if once != tokens:
                students.append(self._taught(f"once-{n}", n, texts, once, drawn))
        if settings.with_answers:
            students.append(self._answering(largest, tokens, drawn))
        teacher = score_piece(self.pieces, "teacher", settings.teacher, self.scoring)
        self._told("teacher", teacher)
        return Distilled(
            self.pieces.recorder.run_id,
            settings.task,
            str(settings.teacher),
            settings.student,
            settings.filter,
            settings.problems,
            self.pieces.folder,
            teacher,
            tuple(students),
            settings.seed,
        )

    def _rationales(self) -> Drawn:
        settings = self.settings
        both = sides(
            settings.task, learned=settings.problems, held_out=settings.eval_problems, seed=settings.seed
        )
        return draw_replies(
            self.pieces,
            "rationales",
            settings.teacher,
            both.learned,
            self.how,
            grader=both.grader,
            choice=Choice("verifier" if settings.filter == "verifier" else "own"),
            tell=self.tell,
        )

    def _untrained(self) -> Student:
        """The student as it is before it learns."""
        folder = self.pieces.folder / "before"
        if not is_checkpoint(folder):
            write_checkpoint(folder, self.begin(), {**self.before, "name": "before"})
        scored = score_piece(self.pieces, "before", folder, self.scoring)
        self._told("before", scored)
        return Student("before", None, "before", 0, 0, 0.0, (0.0, 0.0), scored)

    def _taught(
        self, name: str, n: int, texts: Sequence[Example], tokens: int, drawn: Drawn, *, direct: bool = False
    ) -> Student:
        plan, spent = schedule(tokens, self.rate), drawn.flop(n)
        stages = [
            *self.before.get("stages", []),
            {"stage": "synthetic_data", "part": "kept", "flop": spent[0]},
            {"stage": "synthetic_data", "part": "discarded", "flop": spent[1]},
        ]
        folder, work = learn(
            self.pieces,
            name,
            begin=self.begin,
            stream=epochs(texts, seed=self.settings.seed),
            plan=plan,
            identity={"texts": names(texts), "seed": self.settings.seed},
            about={**self.before, "texts": len(texts), "task": self.settings.task, "stages": stages},
            device=self.device,
        )
        scored = score_piece(self.pieces, name, folder, self.scoring, direct=direct)
        self._told(name, scored)
        kind = "answers" if direct else name.partition("-")[0]
        return Student(name, n, kind, len(texts), work.tokens, work.flop, spent, scored)

    def _answering(self, texts: Sequence[Example], tokens: int, drawn: Drawn) -> Student:
        """Learns the answers of the same replies, without their steps."""
        bare = {self._bare(text) for text in texts}
        ordered = sorted(bare, key=lambda text: (text.prompt, text.reply))
        return self._taught("answers", self.how.samples, ordered, tokens, drawn, direct=True)

    def _bare(self, text: Example) -> Example:
        answer = text.reply.removesuffix(END).rpartition("=")[2]
        return replace(text, prompt=text.prompt[:-1] + MARKS["answer"], reply=answer + END)

    def _told(self, name: str, scored: Scored) -> None:
        own = scored.own.score
        share = sum(own.right) / (len(own.right) * own.samples)
        self.tell(f"{name}: pass@1 {share:.3f}, {own.length:.0f} tokens a reply.")


def _student(settings: DistillSettings) -> tuple[Callable[[], Any], float, Mapping[str, Any]]:
    """What makes a new student, its learning rate, and what its `ponder.json` begins with.

    Raises UnknownName for what is neither a size nor a checkpoint.
    """
    folder, rows = Path(settings.student), table("ladder")["sizes"]
    if settings.student in rows:
        size = named_size(settings.student)
        rate = settings.learning_rate or size.learning_rate
        about = {"size": size.name, "seed": settings.seed}
        return lambda: new_model(size.shape, settings.seed), rate, about
    if not folder.is_dir():
        raise UnknownName("student", settings.student, rows, "A checkpoint's folder is taken, too.")
    before = read_training(folder)
    size_name = str(before.get("size", ""))
    rate = settings.learning_rate or rows.get(size_name, rows[_LIKE])["learning_rate"] / 4
    about = {
        "size": before.get("size"),
        "start": before.get("name", folder.name),
        "stages": before.get("stages", []),
    }
    return lambda: open_checkpoint(folder).model, rate, about
