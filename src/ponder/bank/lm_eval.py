"""Sample files of the LM Evaluation Harness, `samples_TASK_DATE.jsonl`, written with --log_samples.

A line is one problem under one filter: its request, the replies (`resps`), what the filter made of them
(`filtered_resps`), and the metrics by name. The same problem in files of several runs has several samples.
The files tell no tokens, and the model only by the folder that they lie in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ponder.bank import told
from ponder.bank.files import Bounds, lines, mapping, parse
from ponder.bank.foreign import Asked, Foreign, Wanted
from ponder.bank.scores import ScoreReader
from ponder.errors import BankFileError

__all__ = ["read_samples"]

_FILE = re.compile(r"samples_(?P<task>.+)_[0-9]{4}-[0-9]{2}-[0-9]{2}T[-0-9.]+")
_NOT_SAMPLING = ("until",)
_UNREAD = "[invalid]"  # what the harness' filters put where a reply has no answer


def read_samples(path: Path, wanted: Wanted, bounds: Bounds) -> Iterator[Foreign]:
    """The samples of a file, of one filter. Raises BankFileError."""
    named = _FILE.fullmatch(path.stem)
    task = named["task"] if named else path.stem
    # The harness names the folder of a model's results after it, with this in place of the slash.
    model = path.absolute().parent.name.replace("__", "/") if named else None
    scores = ScoreReader(str(path), wanted)
    for number, line in lines(path, bounds):
        where = f"{path}, line {number}"
        row = mapping(parse(line, where), where)
        own = _scores(row, where)
        if not own:
            raise BankFileError(
                f"{where}: none of its metrics is of this sample alone; give a task that scores each sample."
            )
        found = scores.read(own, where)
        if found is not None:  # else it is another filter's line
            yield _sample(row, task, model, found, where)
    scores.finish()


def _scores(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The metrics of a line, by the names that the harness' results have them under."""
    names, under = told.texts(row, "metrics", where), told.text(row, "filter", where) or "none"
    # Metrics that are computed over all samples together (perplexity, F1) keep a pair here.
    scalar = [name for name in names if isinstance(row.get(name), int | float | str)]
    return {f"{name},{under}": row[name] for name in scalar}


def _sample(
    row: Mapping[str, Any], task: str, model: str | None, score: tuple[str, bool | None], where: str
) -> Foreign:
    prompt, settings = _request(row, where)
    stated = row["doc"].get("question") if isinstance(row.get("doc"), dict) else None
    text, choice = _reply(row, where)
    identity = told.name_of(row, "doc_id", where)
    if identity is None:
        raise BankFileError(f"{where}: doc_id is missing; give the file as the harness wrote it.")
    return Foreign(
        # The prompt has examples in it, which may differ from run to run.
        asked=Asked(
            task, identity, stated if isinstance(stated, str) else prompt, told.text(row, "target", where)
        ),
        where=where,
        model=model,
        text=text,
        choice=choice,
        correct=score[1],
        score=score[0],
        settings=settings,
    )


def _request(row: Mapping[str, Any], where: str) -> tuple[str, Mapping[str, Any]]:
    """The prompt and how it was sampled: the arguments of the first request."""
    requests = mapping(row.get("arguments"), f"{where}, arguments")
    first = mapping(next(iter(requests.values()), None), f"{where}, arguments")
    prompt, sampling = first.get("arg_0"), first.get("arg_1")
    if isinstance(prompt, list):  # a chat, as JSON
        prompt = "\n\n".join(str(part) for part in prompt)
    settings = sampling if isinstance(sampling, dict) else {}
    return str(prompt or ""), told.settled(
        {name: value for name, value in settings.items() if name not in _NOT_SAMPLING}
    )


def _reply(row: Mapping[str, Any], where: str) -> tuple[str, str | None]:
    """The generated text and the answer that the filter read in it."""
    replies, filtered = row.get("resps"), row.get("filtered_resps")
    if not isinstance(replies, list) or not isinstance(filtered, list) or not replies:
        raise BankFileError(
            f"{where}: resps or filtered_resps are missing; give the file as the harness wrote it."
        )
    own = replies[0] if isinstance(replies[0], list) else [replies[0]]
    if own and isinstance(own[0], list):
        return "", None  # log-likelihoods of given options: nothing was generated
    if not own:
        raise BankFileError(f"{where}: resps has no reply in it; give the file as the harness wrote it.")
    if len(own) != 1 or len(replies) != 1:
        raise BankFileError(
            f"{where}: {max(len(own), len(replies))} replies have one score together, so it is not known "
            "which of them are right; sample with repeats: 1, once for each seed, or give JSON lines."
        )
    choice = filtered[0].strip() if filtered and isinstance(filtered[0], str) else ""
    return str(own[0]), choice if choice not in ("", _UNREAD) else None
