"""Settings: defaults, then the configuration file, then the environment, then flags.

The table of settings in the documentation is generated from `Settings`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from math import inf
from pathlib import Path
from typing import Any, Literal, TypeVar

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ponder.core import Model, Price, Shape
from ponder.data import table
from ponder.data.rows import PROVENANCE
from ponder.errors import ConfigError

__all__ = ["Effort", "Settings", "config_path", "efforts", "known_models", "load", "model_card"]

ENV_PREFIX = "PONDER_"
_MODEL_KEYS = (
    *("shape", "active_parameters", "parameters", "price", "context"),
    *("title", "license", "published", "training_tokens", "tuning_tokens", "weights"),
    *(*PROVENANCE, "point"),
)


def _cache() -> Path:
    return Path(platformdirs.user_cache_dir("ponder"))


def _ledger() -> str:
    return str(Path(platformdirs.user_data_dir("ponder")) / "ledger.sqlite")


class Settings(BaseModel):
    """Every setting of ponder. A setting `x` is read from `x = ...` in the file and from PONDER_X."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str = Field(
        "smollm2", description="Model: a name, a GGUF file, a model folder, or http://HOST/v1#MODEL"
    )
    ledger: str = Field(default_factory=_ledger, description="Ledger file, or a database URL")
    cache: Path = Field(default_factory=_cache, description="Folder for weights")
    reports: Path = Field(Path("ponder-reports"), description="Folder for reports")
    temperature: float = Field(0.8, ge=0, le=5, description="Sampling temperature; 0 is greedy")
    top_p: float = Field(1.0, gt=0, le=1, description="Nucleus sampling mass")
    samples: int = Field(32, ge=1, le=100_000, description="Samples a problem in `measure`")
    problems: int = Field(32, ge=1, le=1_000_000, description="Problems a task in `measure`")
    seed: int = Field(1, ge=0, le=2**31 - 1, description="Seed of problems, samples and intervals")
    api: Literal["chat", "completions"] = Field("chat", description="OpenAI API to ask an endpoint by")
    prefill: bool = Field(
        False, description="A chat endpoint continues a last assistant message (vLLM, llama.cpp)"
    )
    api_key: str | None = Field(None, description="Key for the endpoint")
    concurrency: int = Field(16, ge=1, le=4096, description="Calls in flight at an endpoint")
    timeout: float = Field(120.0, gt=0, description="Seconds that one call to an endpoint may take")
    retries: int = Field(4, ge=0, le=100, description="Further tries of a failed call")
    cache_gigabytes: float = Field(
        1.0, gt=0, description="KV cache of the model on this machine, in GB; whole ones for a GGUF file"
    )
    precision: Literal["auto", "f32", "bf16"] = Field(
        "auto", description="Arithmetic of the embedded engine; auto: bf16 where the processor has it"
    )
    roles: dict[str, str] = Field(
        default_factory=dict, description="Models of further roles: judge, large, reward"
    )
    effort: dict[str, dict[str, str]] = Field(
        default_factory=dict, description="Rows that override the table of effort words"
    )
    models: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="Rows that add to or override the table of models", repr=False
    )


def config_path() -> Path | None:
    """The file in force: $PONDER_CONFIG, else ./ponder.toml, else the user's config folder; None if none."""
    named = os.environ.get("PONDER_CONFIG")
    if named:
        return Path(named)
    for path in (Path("ponder.toml"), Path(platformdirs.user_config_dir("ponder")) / "config.toml"):
        if path.is_file():
            return path
    return None


def _from_file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"configuration file {path} is not there; unset PONDER_CONFIG or create it."
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"configuration file {path} cannot be read: {error}.") from None


def _from_environment() -> dict[str, Any]:
    names = [name for name, field in Settings.model_fields.items() if field.default_factory is not dict]
    found = {name: os.environ.get(ENV_PREFIX + name.upper()) for name in names}
    return {name: value for name, value in found.items() if value not in (None, "")}


def load(flags: Mapping[str, Any] | None = None) -> Settings:
    """The settings in force. `flags` holds what the caller states; None values are not stated.

    Raises ConfigError in one sentence that names the setting and where it came from.
    """
    path = config_path()
    layers = [
        (f"configuration file {path}", _from_file(path)),
        ("environment", _from_environment()),
        ("flag", {k: v for k, v in (flags or {}).items() if v is not None}),
    ]
    merged: dict[str, Any] = {}
    for _, values in layers:
        for name, value in values.items():
            both = isinstance(value, dict) and isinstance(merged.get(name), dict)
            merged[name] = {**merged[name], **value} if both else value
    try:
        return Settings(**merged)
    except ValidationError as error:
        raise ConfigError(_explain(error, layers)) from None


def _explain(error: ValidationError, layers: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    first = error.errors()[0]
    name = str(first["loc"][0])
    origin = next((where for where, values in reversed(layers) if name in values), "default")
    if first["type"] == "extra_forbidden":
        return f"{origin}: there is no setting {name!r}; remove it or check its spelling."
    spelled = {"environment": ENV_PREFIX + name.upper(), "flag": "--" + name.replace("_", "-")}
    got = "" if name == "api_key" else f" (got {str(first['input'])[:60]!r})"
    return f"{spelled.get(origin, name)}: {first['msg'].lower()}{got}."


@dataclass(frozen=True, slots=True)
class Effort:
    """What an effort word means: a strategy's text and a budget's ("" is no limit)."""

    strategy: str
    budget: str = ""


def efforts(settings: Settings | None = None) -> dict[str, Effort]:
    """The table of effort words in force, least effort first. Raises ConfigError."""
    rows: dict[str, dict[str, Any]] = {word: dict(row) for word, row in table("effort").items()}
    for word, row in (settings.effort if settings else {}).items():
        if word not in rows:
            raise ConfigError(f"[effort.{word}]: there is no such word; known are {', '.join(rows)}.")
        unknown = [key for key in row if key not in ("strategy", "budget")]
        if unknown:
            raise ConfigError(f"[effort.{word}]: it has no {unknown[0]!r}; it takes strategy and budget.")
        rows[word] |= row
    return {word: Effort(**row) for word, row in rows.items()}


def known_models(settings: Settings | None = None) -> dict[str, dict[str, Any]]:
    """The rows of the built-in table, overridden by the user's."""
    rows: dict[str, dict[str, Any]] = {name: dict(row) for name, row in table("models").items()}
    for name, row in (settings.models if settings else {}).items():
        rows[name] = {**rows.get(name, {}), **row}
    return rows


def _amount(value: Any) -> float | None:
    """A row's figure: a bare number or a table with `value`."""
    if isinstance(value, Mapping):
        value = value.get("value")
    return None if isinstance(value, bool) or not _sound(value) else float(value)


R = TypeVar("R", Shape, Price)


def _row(model: str, part: str, kind: type[R], values: Any) -> R:
    """A part of a model's row. Raises ConfigError that names the key."""
    where = f'[models."{model}"] {part}'
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: it must be a table of numbers, not {values!r}.")
    takes = {f.name: f for f in fields(kind)}
    needed = [name for name, f in takes.items() if f.default is MISSING]
    unknown = [name for name in values if name not in takes]
    missing = [name for name in needed if name not in values]
    if unknown:
        raise ConfigError(f"{where}: it has no {unknown[0]!r}; it takes {', '.join(takes)}.")
    if missing:
        raise ConfigError(f"{where}: {missing[0]} is missing; it needs {', '.join(needed)}.")
    wrong = [name for name, value in values.items() if not _sound(value)]
    if wrong:
        raise ConfigError(f"{where}: {wrong[0]} must be a number of at least 0, not {values[wrong[0]]!r}.")
    return kind(**values)


def _sound(value: Any) -> bool:
    return isinstance(value, int | float) and 0 <= value < inf


def _require_sound(name: str, row: Mapping[str, Any]) -> None:
    """Refuse what the user's row of a model states and nobody would read. Raises ConfigError."""
    for key, value in row.items():
        where = f'[models."{name}"]'
        if key not in _MODEL_KEYS:
            raise ConfigError(f"{where}: it has no {key!r}; it takes {', '.join(_MODEL_KEYS)}.")
        if key in ("active_parameters", "parameters") and not _amount(value):
            raise ConfigError(f"{where}: {key} must be a number above 0, not {value!r}.")
        if key == "context" and not (isinstance(value, int) and value >= 1):
            raise ConfigError(f"{where}: context must be a whole number of tokens, not {value!r}.")


def model_card(name: str, fingerprint: str, settings: Settings | None = None) -> Model:
    """What the tables know of a model of this name; everything unknown stays None.

    Raises ConfigError when a row of the user's cannot be understood.
    """
    _require_sound(name, settings.models.get(name, {}) if settings else {})
    row = known_models(settings).get(name, {})
    shape = _row(name, "shape", Shape, row["shape"]) if "shape" in row else None
    price = _row(name, "price", Price, row["price"]) if "price" in row else None
    return Model(
        name=name,
        fingerprint=fingerprint,
        shape=shape,
        active_parameters=_amount(row.get("active_parameters", row.get("parameters"))),
        price=price,
        context=row.get("context"),
    )
