"""Self-play and expert iteration: generate, verify, learn, repeat.

A round draws replies to problems of the train side, keeps those that the labels call right, and learns them
from the start's weights (ReST-EM; Singh et al. 2023, arXiv 2312.06585) or, with `keep`, goes on from the
last round's (expert iteration, as in STaR; Zelikman et al. 2022, arXiv 2203.14465). Without the verifier the
model's own majority or every answer of its own takes its place. With a proposer the model poses the
problems, and learns to pose such as lie at the edge of its ability (compare Zhao et al. 2025, arXiv
2505.03335).

With a pool the solved problems are walled in: the rounds learn from a fixed set of them and from synthetic
replies, beside more epochs of the set alone, and beside fresh solved problems, at equal training compute.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from random import Random
from typing import Any, get_args

from ponder.core import Model, digest
from ponder.engines._torch_folder import read_folder
from ponder.errors import InputError, UnknownName
from ponder.ledger import Ledger
from ponder.tasks import Problem, chars
from ponder.tasks.chars import Example, examples
from ponder.tasks.chars.texts import different
from ponder.train.batches import Stream, epochs
from ponder.train.devices import choose, described, processes_on
from ponder.train.drawing import Drawer
from ponder.train.generate import Attempt, Choice, How, Labels, draw_replies
from ponder.train.learning import (
    Scored,
    Scoring,
    learn,
    names,
    schedule,
    score_piece,
    tokens_for,
    tokens_of,
)
from ponder.train.models import open_checkpoint, read_training, require_training
from ponder.train.pieces import Piece, Pieces, lost, pieces_in, stage_row
from ponder.train.posing import Posed, check_posed, pose_question, posing_text, require_posable
from ponder.train.rl_state import replace_text
from ponder.train.scoring import broad_tasks
from ponder.train.selfplay_result import Arm, Posing, Round, Selfplayed
from ponder.train.sides import key_of, sides
from ponder.train.state import Work

__all__ = ["RESULT", "SelfplaySettings", "selfplay"]

RESULT = "selfplay.json"
"""The result's file, in the campaign's folder."""

EDGE = (0.1, 0.7)
"""The solve rates between which a posed problem is at the edge of the solver's ability."""

_POSED_A_PROBLEM = 2  # texts drawn for each problem that is wanted, since some are refused


@dataclass(frozen=True, slots=True)
class SelfplaySettings:
    """How to play. Each of `rounds` rounds draws `samples` replies to each of `problems` problems and makes
    `passes` passes over what is kept. `pool`: that many solved problems are all there are."""

    start: Path
    task: str = "char_countdown:numbers=4"
    rounds: int = 4
    samples: int = 8
    problems: int = 2000
    labels: Labels = "verifier"
    proposer: bool = False
    keep: bool = False
    pool: int | None = None
    passes: int = 2
    learning_rate: float = 1e-3
    temperature: float = 1.0
    eval_problems: int = 200
    eval_draws: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("rounds", "samples", "problems", "passes", "pool"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name}: it must be at least 1, not {value}.")
        if self.labels not in get_args(Labels):
            raise UnknownName("labels", self.labels, get_args(Labels))
        family = chars.family(self.task)
        if self.proposer:
            require_posable(family)
            if self.samples < 2:
                raise InputError("samples: a solve rate needs at least 2 replies a problem, not 1.")

    def config(self, start: Model) -> dict[str, Any]:
        """What a run is bound to."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values |= {"start": start.name, "weights": start.fingerprint}
        return {"kind": "train", "verb": "selfplay", **values}


def selfplay(
    settings: SelfplaySettings,
    *,
    ledger: Ledger,
    out: Path | Callable[[str], Path],
    run: str | None = None,
    processes: int | None = None,
    device: str = "auto",
    tell: Callable[[str], None] = lambda line: None,
) -> Selfplayed:
    """Play, and write each round's checkpoint and the result into `out` (a folder, or what makes one of the
    run's name). Everything that it took is booked on `ledger`. It can be killed at any time and run again; a
    run that is finished is read.

    Raises MissingExtra, CheckpointInvalid, InputError, UnknownName, RunChanged, TrainingDiverged,
    OutOfMemory, LedgerError.
    """
    require_training()
    where = choose(device)
    model = read_folder(settings.start).model
    config = settings.config(model)
    name = run or f"selfplay-{digest(config)[:8]}"
    with pieces_in(out(name) if callable(out) else out, config, ledger, name) as pieces:
        play = _Play(settings, model, pieces, where, processes_on(where, processes), tell)
        result = play.result()
        replace_text(pieces.folder / RESULT, json.dumps(result.to_json(), indent=1, allow_nan=False) + "\n")
        pieces.recorder.event("finished", {"verb": "selfplay", "folder": str(pieces.folder)})
    return result


class _NothingToLearn(InputError):
    """A round that leaves no text to learn."""


class _Play:
    """Self-play under way. `spent` is what led to the next checkpoint, by stage."""

    def __init__(
        self,
        settings: SelfplaySettings,
        model: Model,
        pieces: Pieces,
        device: str,
        processes: int,
        tell: Callable[[str], None],
    ) -> None:
        self.settings, self.model, self.pieces, self.device, self.tell = settings, model, pieces, device, tell
        self.family = chars.family(settings.task)
        self.how = How(settings.samples, settings.temperature, settings.seed, processes, device)
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
        self.before = read_training(settings.start)
        self.spent: list[dict[str, Any]] = []
        self.pool = self._pool()

    def result(self) -> Selfplayed:
        settings = self.settings
        first = self._scored("round-0", settings.start)
        rounds: list[Round] = []
        solver = settings.start
        proposer = self._first_proposer() if settings.proposer else None
        for number in range(1, settings.rounds + 1):
            try:
                solver, proposer, each = self._round(number, solver, proposer)
            except _NothingToLearn as nothing:
                if not rounds:
                    raise
                self.tell(f"round {number} is not played: {nothing}")
                break
            rounds.append(each)
        return Selfplayed(
            self.pieces.recorder.run_id,
            settings.task,
            str(settings.start),
            settings.labels,
            self.pieces.folder,
            first,
            tuple(rounds),
            self._wall(rounds),
            settings.seed,
        )

    # ---------------------------------------------------------------- a round

    def _round(self, number: int, solver: Path, proposer: Path | None) -> tuple[Path, Path | None, Round]:
        """The next solver and proposer, and what the round did. Raises _NothingToLearn."""
        name, settings = f"round-{number}", self.settings
        problems, posed, asking = self._problems(name, number, proposer)
        if not problems:
            raise _NothingToLearn(
                "proposer: nothing it posed is a problem to learn from; give more --problems."
            )
        drawn = draw_replies(
            self.pieces,
            f"{name}-replies",
            solver,
            problems,
            self.how,
            grader=self.family.grader,
            choice=Choice(settings.labels, EDGE if settings.proposer else None),
            tell=self.tell,
        )
        texts = drawn.texts()
        if not texts:
            raise _NothingToLearn(
                f"from: no reply of {solver.name} was kept to learn from; give a better checkpoint, or more "
                "--problems or --samples."
            )
        kept, discarded = drawn.flop()
        self.spent += [
            {"stage": "synthetic_data", "part": "kept", "flop": kept},
            {"stage": "synthetic_data", "part": "discarded", "flop": discarded},
        ]
        begin = solver if settings.keep else settings.start
        everything = [*self.pool, *texts]
        folder, work = self._learn(name, begin, epochs(everything, seed=number), everything)
        self.spent.append({"stage": "sft", "flop": work.flop})
        posing = None
        if proposer is not None and posed is not None:
            proposer, taught = self._teach_proposer(name, proposer, drawn.chosen)
            posing = Posing(posed, len(drawn.chosen), asking.flop, taught.flop)
        each = Round(
            number=number,
            problems=len(problems),
            replies=len(drawn.attempts) * settings.samples,
            kept=drawn.kept,
            kept_right=drawn.kept_right,
            texts=len(texts),
            solved=len(drawn.chosen),
            flop_kept=kept,
            flop_discarded=discarded,
            flop_learned=work.flop,
            posing=posing,
            scored=self._scored(name, folder),
        )
        return folder, proposer, each

    def _problems(
        self, name: str, number: int, proposer: Path | None
    ) -> tuple[Sequence[Problem], Posed | None, Work]:
        """What the round's solver is asked, what came of the proposer's texts, and what these took."""
        settings = self.settings
        if proposer is not None:
            texts, work = self._pose(f"{name}-posed", proposer)
            posed = check_posed(self.family, texts, name=f"{self.family.name}/{name}/{settings.seed}")
            self.tell(
                f"{name}: {len(posed.problems):,} of {len(texts):,} posed texts are problems to learn from."
            )
            return posed.problems[: settings.problems], posed, work
        if self.pool:
            return self._posable(self.pool), None, Work()
        seed = int(digest([settings.seed, number])[:8], 16)
        both = sides(settings.task, learned=settings.problems, held_out=settings.eval_problems, seed=seed)
        return both.learned, None, Work()

    def _posable(self, texts: Sequence[Example]) -> list[Problem]:
        return [self.family.problem(each, f"{self.family.name}/pool-{at}") for at, each in enumerate(texts)]

    def _learn(
        self,
        name: str,
        begin: Path,
        stream: Stream,
        texts: Sequence[Example],
        *,
        tokens: int | None = None,
        part: str | None = None,
        stages: Sequence[Mapping[str, Any]] | None = None,
    ) -> tuple[Path, Work]:
        settings = self.settings
        spent = self.spent if stages is None else stages
        return learn(
            self.pieces,
            name,
            begin=lambda: open_checkpoint(begin).model,
            stream=stream,
            plan=schedule(tokens or settings.passes * tokens_of(texts), settings.learning_rate),
            identity={"texts": names(texts), "name": name},
            about={
                "size": self.before.get("size"),
                "start": self.before.get("name", settings.start.name),
                "task": settings.task,
                "stages": [*self.before.get("stages", []), *spent],
            },
            device=self.device,
            part=part,
        )

    def _scored(self, name: str, folder: Path) -> Scored:
        scored = score_piece(self.pieces, name, folder, self.scoring)
        own = scored.own.score
        share = sum(own.right) / (len(own.right) * own.samples)
        self.tell(f"{name}: pass@1 {share:.3f}, {own.length:.0f} tokens a reply.")
        return scored

    # ---------------------------------------------------------------- the proposer

    def _first_proposer(self) -> Path:
        """The start, after it has learned what a problem looks like from the train side's."""
        settings = self.settings
        if self.pool:
            shown: Sequence[Problem] = self._posable(self.pool)
        else:
            shown = sides(
                settings.task, learned=settings.problems, held_out=settings.eval_problems, seed=settings.seed
            ).learned
        texts = [posing_text(problem.question.text, key_of(problem.question)) for problem in shown]
        return self._learn("proposer-0", settings.start, epochs(texts, seed=0), texts, part="proposer")[0]

    def _pose(self, name: str, proposer: Path) -> tuple[list[str], Work]:
        """Texts that the proposer poses, whole ones alone, and what they took."""
        count = _POSED_A_PROBLEM * self.settings.problems
        how = self.how

        def work(stem: Path) -> Piece:
            started, repeated = time.time(), lost(stem)
            asked = [Problem(pose_question(), "")]
            seed = int(digest([how.seed, name])[:12], 16)
            with Drawer(proposer, processes=how.processes, device=how.device) as drawer:
                ((_, outputs),) = drawer.draw(asked, count, temperature=how.temperature, seed=seed)
                done = drawer.work
            texts = [output.text for output in outputs if output.stopped_by is not None]
            device = described(how.device, how.processes)
            rows = [
                stage_row("synthetic_data", part, each, model=proposer.name, device=device, started=started)
                for part, each in (("posed", done), ("posed, repeated", repeated))
                if each.examples
            ]
            return Piece({"texts": texts, "work": done.to_json()}, rows)

        result = self.pieces.do(name, work)
        return list(result["texts"]), Work.from_json(result["work"])

    def _teach_proposer(self, name: str, proposer: Path, edge: Sequence[Attempt]) -> tuple[Path, Work]:
        """The proposer after it has learned to pose problems like those at the edge."""
        settings = self.settings
        texts = [posing_text(attempt.prompt[:-1], attempt.key) for attempt in edge]
        begin = proposer if settings.keep else self.pieces.folder / "proposer-0"
        number = name.rpartition("-")[2]
        return self._learn(
            f"proposer-{number}", begin, epochs(texts, seed=int(number)), texts, part="proposer"
        )

    # ---------------------------------------------------------------- the data wall

    def _pool(self) -> list[Example]:
        """The solved problems that there are, where there is a wall."""
        settings = self.settings
        if settings.pool is None:
            return []
        rng, family = Random(f"pool/{settings.seed}"), self.family
        found = different(
            lambda: family.example(rng, split="train", mode=family.mode, recipe="random"), settings.pool
        )
        if len(found) < settings.pool:
            raise InputError(f"pool: {family.name} has only {len(found)} problems; give a smaller pool.")
        return found

    def _wall(self, rounds: Sequence[Round]) -> tuple[Arm, ...]:
        """More epochs of the pool alone, and fresh solved problems, each for the rounds' compute."""
        if not self.pool:
            return ()
        settings, shape = self.settings, self.model.shape
        assert shape is not None
        budget = sum(each.flop for each in rounds)
        tokens = tokens_for(budget, shape, self.pool)

        def fresh(start: int) -> Any:
            mixture = [(settings.task, self.family.mode, 1.0)]
            return examples(mixture, recipe="random", seed=settings.seed + 1, start=start)

        arms = []
        for name, stream in (("epochs", epochs(self.pool, seed=settings.seed)), ("fresh", fresh)):
            folder, work = self._learn(
                f"wall-{name}", settings.start, stream, self.pool, tokens=tokens, part=name, stages=()
            )
            scored = self._scored(f"wall-{name}", folder)
            arms.append(Arm(name, work.tokens, work.tokens / tokens_of(self.pool), work.flop, scored))
        return tuple(arms)
