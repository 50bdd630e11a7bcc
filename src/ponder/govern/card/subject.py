"""Whose card it is: a run on the ledger, or a ladder's checkpoint with its recordings, read alike."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ponder import bank, flop
from ponder._version import __version__
from ponder.config import Settings, known_models, model_card
from ponder.core import Model, Shape
from ponder.data.rows import PROVENANCE, figure, row
from ponder.engines._torch_folder import read_folder
from ponder.errors import InputError
from ponder.govern.accounting import Estimate, Lifecycle, Stage, from_checkpoint, is_trained_folder
from ponder.govern.accounting.stages import by_architecture
from ponder.govern.assumptions import Assumption, Origin, published
from ponder.govern.card.document import Identity, Made, Spent
from ponder.laws.data import Counts
from ponder.ledger import Ledger
from ponder.measure import run_id
from ponder.quantity import from_row
from ponder.train.models import read_training
from ponder.train.recorded import Recorded, head, load

__all__ = ["Drawn", "Subject", "of_checkpoint", "of_run"]

Floats = NDArray[np.float64]

_RECORDED = "recorded"
_LIBRARIES = ("openvino_genai", "torch", "transformers")  # as engines name their versions
_LEVELS = 4  # folders above a checkpoint in which its recordings are looked for


@dataclass(frozen=True)
class Drawn:
    """The draws of one task. `prompt_tokens` [P] are those of one reading of each prompt (None: unknown)."""

    counts: Counts
    prompt_tokens: Floats | None


@dataclass(frozen=True)
class Subject:
    """The model, its draws task by task, the stages that made it with where each is known from, and the
    ladder that it stands on (None: on none)."""

    identity: Identity
    made: Made
    model: Model
    drawn: tuple[Drawn, ...]
    lifecycle: Lifecycle
    known_from: Mapping[str, Assumption]
    ladder: Path | None
    notes: tuple[str, ...]


# ---------------------------------------------------------------- a run on the ledger


def of_run(run: str, settings: Settings, tasks: Sequence[str], on: date) -> Subject:
    """A measured or imported run ("latest": the last finished measurement), of `tasks` alone where some are
    named. Raises UnknownName, InputError for a run without samples."""
    with Ledger.open(settings.ledger, write=False) as store:
        name = run_id(store, run)
        banks = bank.load(store, name, tasks)
        config, created, head = store.config(name), store.created(name), store.head()
        usage, finished = store.usage(name), any(each.kind == "finished" for each in store.events(name))
    drawn_here = config.get("kind") == "measure"
    engine: Mapping[str, Any] = config.get("engine") or {}
    model = model_card(str(config.get("model") or name), str(engine.get("weights_sha256") or ""), settings)
    lifecycle, known_from = _published(model, settings)
    graded = [each for each in banks if any(True for _ in each.counted)]
    if tasks:
        graded.sort(key=lambda each: tasks.index(each.task))
    drawn = tuple(_of_bank(each, model) for each in graded)
    if not drawn:
        raise InputError(
            f"run: {name} has no graded samples; end its measurement, or import them with a score."
        )
    sampling = {key: config.get(key) for key in ("temperature", "top_p", "seed", "max_tokens")}
    tokens = usage.tokens
    spent = Spent(
        samples=usage.samples,
        tokens=None if tokens is None else float(tokens),
        flop=usage.flop,
        usd=usage.usd,
    )
    return Subject(
        identity=_identity(model, known_models(settings).get(model.name, {}), engine),
        made=_made("run", name, on, created if drawn_here else None, sampling, spent, head=head),
        model=model,
        drawn=drawn,
        lifecycle=lifecycle,
        known_from=known_from,
        ladder=None,
        notes=() if finished or not drawn_here else ("The run is not finished.",),
    )


def _of_bank(of: bank.TaskBank, model: Model) -> Drawn:
    counts, kept = Counts.from_drawn(of), tuple(of.counted)
    prompts = [one.prompt_tokens[0] for one in kept]
    known = [each for each in prompts if each is not None]
    tokens = np.array(known, dtype=np.float64) if len(known) == len(prompts) else None
    if model.shape is None or tokens is None or counts.tokens is None:
        return Drawn(counts, tokens)
    shape = model.shape
    spent = [
        np.mean([flop.decode_flop(shape, int(prompt), each.tokens or 0) for each in one.samples])
        for prompt, one in zip(tokens, kept, strict=True)
    ]
    reading = np.array([flop.prefill_flop(shape, int(prompt)) for prompt in tokens], dtype=np.float64)
    return Drawn(replace(counts, flop=np.array(spent), prompt_flop=reading), tokens)


def _published(model: Model, settings: Settings) -> tuple[Lifecycle, dict[str, Assumption]]:
    """What the tables tell of a model's training: unknown where they tell nothing."""
    told = known_models(settings).get(model.name, {})
    origin = row("published_models", told["published"]) if "published" in told else {}
    found = {
        "pretraining": _figure("training_flop", origin, "FLOP", "FLOP of pretraining"),
        "tuning": _figure("tuning_tokens", told, "token", "Tokens of all tuning after it"),
    }
    before, after = (None if each.quantity is None else Estimate.of(each.quantity) for each in found.values())
    if after is not None:
        size = model.active_parameters
        after = None if size is None else by_architecture("sft", Estimate.point(size), after)
    stages = (
        Stage(kind="pretrain", name="pretraining", architecture=before),
        Stage(kind="sft", name="tuning", architecture=after),
    )
    return Lifecycle(model=model.name, stages=stages), found


def _figure(name: str, of: Mapping[str, Any], unit: str, what: str) -> Assumption:
    found = figure(of, name)
    if found is None:
        return Assumption(
            name, what, unit, None, "assumed", "no table of ponder's and none of yours tells it"
        )
    quantity = from_row(found, name, unit).in_unit(name, unit)
    told = [str(found.get(key, "")) for key in PROVENANCE]
    return Assumption(name, what, unit, quantity, published(found), *told)


# ---------------------------------------------------------------- a checkpoint with its recordings


def of_checkpoint(folder: Path, recorded: Path | None, tasks: Sequence[str], on: date) -> Subject:
    """A checkpoint that ponder trained. Its recordings are in `recorded`, by default the folder of that name
    that lies beside one of the folders above it.

    Raises CheckpointInvalid, InputError where there is no recording of it, or one of other weights.
    """
    if not is_trained_folder(folder):
        raise InputError(
            f"card: {folder} is no checkpoint that ponder trained (it has no ponder.json); give a run on "
            "the ledger, or such a checkpoint's folder."
        )
    training = read_training(folder)
    name = str(training.get("name") or folder.name)
    where = recorded if recorded is not None else _beside(folder)
    found = _recordings(where, name, tasks)
    read = read_folder(folder, name)
    for path, each in found.items():
        if each.about.get("weights") not in (None, read.model.fingerprint):
            raise InputError(f"recording: {path} is of other weights than {folder}; record it again.")
    lifecycle = from_checkpoint(folder)
    whence: Origin = "measured"
    return Subject(
        identity=_identity(read.model, {}, {}, stored=read.config.get("dtype")),
        made=_made_from(name, found, on),
        model=read.model,
        drawn=tuple(_of_recording(each) for each in found.values()),
        lifecycle=lifecycle,
        known_from={
            each.name: Assumption(each.name, "", "FLOP", None, whence, "the checkpoint's own record")
            for each in lifecycle.stages
        },
        ladder=where,
        notes=(),
    )


def _beside(folder: Path) -> Path:
    for above in folder.resolve().parents[:_LEVELS]:
        if (above / _RECORDED).is_dir():
            return above / _RECORDED
    raise InputError(
        f"recorded: no folder {_RECORDED!r} lies beside {folder} or the folders above it; record the "
        "checkpoint with `ponder train record`, or name the folder with --recorded."
    )


def _recordings(where: Path, name: str, tasks: Sequence[str]) -> dict[Path, Recorded]:
    """The checkpoint's recordings by their files."""
    if not where.is_dir():
        raise InputError(f"recorded: there is no folder {where}; name that of the recordings.")
    heads = ((path, head(path)) for path in sorted(where.glob("**/*.jsonl.xz")))
    kept = {path: load(path) for path, about in heads if about and about.get("name") == name}
    if not kept:
        raise InputError(
            f"recorded: {where} has no recording of {name}; make one with `ponder train record`."
        )
    for task in tasks:
        if task not in (there := [each.task for each in kept.values()]):
            raise InputError(f"task: {name} was recorded on {', '.join(there)}, and not on {task[:80]!r}.")
    order = {task: place for place, task in enumerate(tasks)}
    chosen = [item for item in kept.items() if not tasks or item[1].task in order]
    return dict(sorted(chosen, key=lambda item: order.get(item[1].task, 0)))


def _of_recording(recorded: Recorded) -> Drawn:
    prompts = np.array([tally.prompt_tokens for tally in recorded.tallies], dtype=np.float64)
    return Drawn(Counts.from_recorded(recorded), prompts)


def _made_from(name: str, found: Mapping[Path, Recorded], on: date) -> Made:
    recordings = list(found.values())
    about = recordings[0].about
    read = [sum(tally.prompt_tokens for tally in each.tallies) for each in recordings]
    written = [float(each.tokens.sum()) * each.draws for each in recordings]
    spent = Spent(
        samples=sum(len(each.tallies) * each.draws for each in recordings),
        tokens=sum(read) + sum(written),
        flop=float(sum(each.flop([each.draws]).sum() for each in recordings)),
        usd=None,
    )
    sampling = {key: about.get(key) for key in ("temperature", "seed", "max_tokens")}
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found}
    return _made("checkpoint", name, on, None, sampling, spent, recordings=hashes)


# ---------------------------------------------------------------- both


def _made(
    kind: Any,
    source: str,
    on: date,
    created: float | None,
    sampling: Mapping[str, Any],
    spent: Spent,
    *,
    head: str | None = None,
    recordings: Mapping[str, str] | None = None,
) -> Made:
    begun = None if created is None else datetime.fromtimestamp(created, UTC).date().isoformat()
    return Made(
        kind=kind,
        source=source,
        on=on.isoformat(),
        measured=begun,
        ledger_head=head,
        recordings=dict(recordings or {}),
        sampling=dict(sampling),
        spent=spent,
        ponder=__version__,
    )


def _all_parameters(
    shape: Shape | None, active: float | None, told: Mapping[str, Any] | None
) -> float | None:
    """The table's figure; else the active ones with the experts of the shape that idle."""
    if told is not None:
        return from_row(told, "parameters").value
    if shape is None or active is None:
        return None
    return active + flop.parameters(shape, active=False) - flop.parameters(shape)


def _identity(
    model: Model, told: Mapping[str, Any], engine: Mapping[str, Any], *, stored: Any = None
) -> Identity:
    shape, active = model.shape, model.active_parameters
    if active is None and shape is not None:
        active = float(flop.parameters(shape))
    precision = engine.get("precision") or (f"{stored}, as stored" if stored else None)
    versions = [f"{key} {engine[key]}" for key in _LIBRARIES if key in engine]
    return Identity(
        name=model.name,
        title=told.get("title"),
        license=told.get("license"),
        parameters=_all_parameters(shape, active, figure(told, "parameters")),
        active_parameters=active,
        shape=None if shape is None else asdict(shape),
        context=model.context,
        precision=precision,
        weights_sha256=model.fingerprint or None,
        engine=", ".join([str(engine["engine"]), *versions]) if "engine" in engine else None,
    )
