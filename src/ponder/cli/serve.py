"""`ponder serve`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ponder.cli._output import (
    StatedPath,
    emit,
    json_option,
    ledger_option,
    model_option,
    settings_from,
)
from ponder.cli.serve_report import capacity_option, report
from ponder.cli.serve_rules import list_rules

if TYPE_CHECKING:
    from ponder.serve.house import House

_PACKAGES = ("argon2", "jinja2", "prometheus_client", "regex", "starlette", "uvicorn")
_EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")


@click.group(invoke_without_command=True)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0: any that is free."
)
@click.option("--keys", type=StatedPath(), metavar="FILE", help="Who may ask: see `ponder keys`.")
@click.option("--name", "names", multiple=True, metavar="HOST", help="A name that it is asked for by.")
@click.option(
    "--effort",
    type=click.Choice(_EFFORTS),
    default="medium",
    show_default=True,
    help="Of requests without one.",
)
@click.option(
    "--max-tokens",
    type=click.IntRange(1, 1_000_000),
    default=512,
    show_default=True,
    help="Generated tokens a sample, of requests that state none.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 100_000),
    default=64,
    show_default=True,
    help="Requests in flight; more are told to wait.",
)
@click.option(
    "--monitor",
    metavar="RULES|judge|judge=MODEL",
    help="Look at every thought: by a file of rules, or by a model.",
)
@click.option(
    "--law",
    metavar="RUN",
    help="A run or a recording that tells what more effort buys; default the model's last measurement.",
)
@click.option(
    "--alert",
    "alerts",
    multiple=True,
    metavar="LINE",
    help="Tell of a key that passes it, for example 1e18flop/day.",
)
@click.option(
    "--keep",
    type=click.FloatRange(min=0, min_open=True),
    metavar="DAYS",
    help="Erase the texts of requests after so many.",
)
@click.option(
    "--traces",
    metavar="ADDRESS",
    help="Send OpenTelemetry's spans to a collector there; default $OTEL_EXPORTER_OTLP_ENDPOINT.",
)
@capacity_option
@click.option(
    "--whole-answers", is_flag=True, help="Send no part of an answer before all of it is on the ledger."
)
@click.option("--sign", type=StatedPath(), metavar="KEY", help="Sign checkpoints: see `ponder ledger key`.")
@model_option
@ledger_option
@json_option
@click.pass_context
def serve(
    ctx: click.Context,
    host: str,
    port: int,
    keys: Path | None,
    names: tuple[str, ...],
    effort: str,
    max_tokens: int,
    concurrency: int,
    monitor: str | None,
    law: str | None,
    alerts: tuple[str, ...],
    keep: float | None,
    traces: str | None,
    capacity: str | None,
    whole_answers: bool,
    sign: Path | None,
    model: str | None,
    ledger: str | None,
    as_json: bool,
) -> None:
    """Serve a model that thinks before it answers, by OpenAI's chat and responses APIs.

    The model thinks as much as the request's reasoning effort says. Its user sees an answer and a summary;
    the whole trace stands on the ledger, with what a --monitor made of it. Without --keys the server
    listens on this machine alone.
    """
    if ctx.invoked_subcommand is not None:
        return
    import asyncio
    import os

    from ponder.errors import MissingExtra

    try:
        from ponder.serve.capacity import read_capacity
        from ponder.serve.house import Options
        from ponder.serve.keys import Keyring
        from ponder.serve.server import serve as run
        from ponder.serve.tracing import collector
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in _PACKAGES:
            raise
        raise MissingExtra("The server", "serve") from None
    asyncio.run(
        run(
            settings_from(model=model, ledger=ledger),
            Options(
                usual=effort,
                max_tokens=max_tokens,
                concurrency=concurrency,
                monitor=monitor,
                law=law,
                alerts=alerts,
                keep_days=keep,
                sign=sign,
                whole_answers=whole_answers,
                traces=collector(traces, os.environ),
                capacity=None if capacity is None else read_capacity(capacity),
            ),
            host=host,
            port=port,
            keyring=None if keys is None else Keyring(keys),
            names=names,
            ready=lambda address, server: _tell(address, server.house, as_json=as_json),
        )
    )


serve.add_command(list_rules)
serve.add_command(report)


def _tell(address: str, house: House, *, as_json: bool) -> None:
    """That it listens, and where its record lies."""
    from ponder.ledger import shown

    model, ledger = house.engine.model.name, shown(house.settings.ledger)
    if as_json:
        emit({"address": f"{address}/v1", "model": model, "ledger": ledger})
    else:
        click.echo(f"Serving {model} at {address}/v1, with a page at {address}/; Ctrl-C ends it.")
        click.echo(f"Every request is on the ledger {ledger}.")
