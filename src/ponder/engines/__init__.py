"""Where samples come from. `open_engine` reads a model's name, file or address."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ponder.config import Settings, known_models, load, model_card
from ponder.core import Engine
from ponder.core.checking import require_texts
from ponder.errors import InputError, UnknownName

__all__ = ["open_engine", "require_engines"]


async def open_engine(spec: str, settings: Settings | None = None) -> Engine:
    """An engine for a known model, a GGUF file, a Hugging Face model folder, http://HOST/v1#MODEL, or a
    process reward model at pooling+http://HOST#MODEL; it is checked before it returns. `settings` are those
    in force unless stated.

    Raises InputError, UnknownName, ModelError or EngineError in one sentence.
    """
    require_texts(model=spec)
    settings = settings or load()
    if not spec or not spec.strip():
        raise InputError("model: it is empty; give a model's name, file, folder or address.")
    if spec.startswith(("http://", "https://", "pooling+http://", "pooling+https://")):
        return await _endpoint(spec, settings)
    kind = _folder if spec not in known_models(settings) and Path(spec).is_dir() else _embedded
    return await asyncio.to_thread(kind, spec, settings)


def require_engines(players: Mapping[str, object]) -> None:
    """Each, by its role, must be an open engine. Raises InputError."""
    for role, each in players.items():
        if not isinstance(each, Engine):
            raise InputError(f"engine: {role} must be an engine, as open_engine gives one, not {each!r}.")


async def _endpoint(spec: str, settings: Settings) -> Engine:
    from ponder.engines.http import HttpEngine
    from ponder.engines.pooling import PREFIX, PoolingEngine

    kind = PoolingEngine if spec.startswith(PREFIX) else HttpEngine
    engine = await kind.from_spec(
        spec,
        api=settings.api,
        prefill=settings.prefill,
        api_key=settings.api_key,
        concurrency=settings.concurrency,
        timeout=settings.timeout,
        retries=settings.retries,
        card=lambda name, fingerprint: model_card(name, fingerprint, settings),
    )
    try:
        await engine.check()
    except BaseException:
        await engine.close()
        raise
    return engine


def _folder(spec: str, settings: Settings) -> Engine:
    from ponder.engines._torch_folder import read_folder
    from ponder.engines.reward_folder import RewardFolderEngine, is_reward_folder
    from ponder.engines.transformers import TransformersEngine

    folder = read_folder(Path(spec))
    known = model_card(folder.model.name, folder.model.fingerprint, settings)
    model = replace(folder.model, price=known.price)
    if is_reward_folder(folder):
        return RewardFolderEngine(folder, model)
    return TransformersEngine(folder, model, cache_gigabytes=settings.cache_gigabytes)


def _embedded(spec: str, settings: Settings) -> Engine:
    from ponder.engines import weights
    from ponder.engines.embedded import EmbeddedEngine

    path, first_token = Path(spec), False
    if path.suffix == ".gguf" or (spec not in known_models(settings) and path.is_file()):
        if not path.is_file():
            raise UnknownName("model", spec, known_models(settings), "There is no such file.")
        model, first_token = weights.read_gguf(path, path.stem)
        known = model_card(path.stem, model.fingerprint, settings)
        model = replace(model, price=known.price)
    else:
        path, fingerprint = weights.locate_with_hash(spec, settings)
        model = model_card(spec, fingerprint, settings)
    return EmbeddedEngine(
        path,
        model,
        precision=settings.precision,
        cache_gigabytes=settings.cache_gigabytes,
        first_token=first_token,
    )
