"""What runs reasoning-gym inside the child process: problems from a generator, and its own scorer.

Imported by the child alone. Entries hold values that are not JSON, so a problem is named by its
generator, parameters, seed, size and index, and generated again where it is scored.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from typing import Any

__all__ = ["generate", "generators", "score"]


def generators() -> list[str]:
    """The names of all generators."""
    from reasoning_gym.factory import DATASETS

    return sorted(DATASETS)


def generate(generator: str, parameters: dict[str, Any], seed: int, size: int, count: int) -> dict[str, Any]:
    """The first `count` problems with different questions among `size`, in order.

    Returns {"problems": [[index, question, key], ...]}, {"unknown": known generators}, or
    {"refused": reason} when the parameters are no good.
    """
    from reasoning_gym.factory import DATASETS

    if generator not in DATASETS:
        return {"unknown": sorted(DATASETS)}
    known = {f.name for f in dataclasses.fields(DATASETS[generator][1])} - {"seed", "size"}
    unknown = sorted(parameters.keys() - known)
    if unknown:
        return {"refused": f"it has no parameter {unknown[0]!r}; known are {', '.join(sorted(known))}"}
    try:
        problems = _distinct(_dataset(generator, json.dumps(parameters), seed, size), size, count)
    except Exception as error:
        return {"refused": f"{type(error).__name__}: {error}"}
    return {"problems": problems}


def score(generator: str, parameters: dict[str, Any], seed: int, size: int, index: int, answer: str) -> float:
    """What reasoning-gym's own scorer pays for `answer`, from 0 to 1."""
    dataset = _dataset(generator, json.dumps(parameters), seed, size)
    return float(dataset.score_answer(answer=answer, entry=dataset[index]))


@functools.lru_cache(maxsize=4)
def _dataset(generator: str, parameters: str, seed: int, size: int) -> Any:
    import reasoning_gym

    return reasoning_gym.create_dataset(generator, seed=seed, size=size, **json.loads(parameters))


def _distinct(dataset: Any, size: int, count: int) -> list[tuple[int, str, str]]:
    seen: set[str] = set()
    problems: list[tuple[int, str, str]] = []
    for index in range(size):
        if len(problems) == count:
            break
        entry = dataset[index]
        question = str(entry["question"])
        if question not in seen:
            seen.add(question)
            # A puzzle with many solutions may state none: its scorer checks instead of comparing.
            key = "" if entry["answer"] is None else str(entry["answer"])
            problems.append((index, question, key))
    return problems
