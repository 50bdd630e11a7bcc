"""`ponder doctor`."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import sqlite3
import sys
from typing import Any

import click

from ponder.cli._output import clean, emit, json_option, settings_from

_PARTS = {
    "openvino-genai": ("embedded", "the embedded engine"),
    "gguf": ("embedded", "reading weights"),
    "reasoning-gym": ("gym", "procedural tasks"),
    "altair": ("report", "reports"),
    "jinja2": ("report", "reports"),
    "vl-convert-python": ("report", "reports"),
    "aiohttp": (None, "endpoints"),
    "sqlalchemy": (None, "the ledger"),
}
_OPTIONAL = {
    "torch": ("train", "model folders and training"),
    "transformers": ("train", "model folders and training"),
    "psycopg": ("postgres", "ledgers on PostgreSQL"),
    "pyarrow": ("bank", "exports to Parquet"),
}
if sys.version_info < (3, 14):  # later ones have it themselves
    _OPTIONAL["backports.zstd"] = ("bank", "Inspect's logs")


@click.command()
@json_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Say what is installed, what is missing, and how to get it. Exit code 2 if the demo could not run."""
    packages = [*map(_package, _PARTS), *map(_optional, _OPTIONAL)]
    checks = [_python(), *packages, _weights(), *_ledger(), _disk()]
    if as_json:
        emit(checks)
    else:
        for check in checks:
            mark = {True: "ok     ", False: "missing", None: "absent "}[check["ok"]]
            click.echo(clean(f"{mark}  {check['what']}: {check['found']}"))
            if check["remedy"]:
                click.echo(clean(f"         -> {check['remedy']}"))
    if any(check["ok"] is False for check in checks):
        ctx.exit(2)


def _check(what: str, ok: bool, found: str, remedy: str = "") -> dict[str, Any]:
    return {"what": what, "ok": ok, "found": found, "remedy": "" if ok else remedy}


def _python() -> dict[str, Any]:
    found = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    return _check("python", True, found)


def _package(name: str) -> dict[str, Any]:
    extra, purpose = _PARTS[name]
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        wanted = f"ponder[{extra}]" if extra else "ponder"
        return _check(name, False, f"not installed ({purpose})", f"pip install '{wanted}'")
    return _check(name, True, f"{version} ({purpose})")


def _optional(name: str) -> dict[str, Any]:
    """A part that the demo does without: `ok` is None where it is not installed."""
    extra, purpose = _OPTIONAL[name]
    try:
        return _check(name, True, f"{importlib.metadata.version(name)} ({purpose})")
    except importlib.metadata.PackageNotFoundError:
        found, remedy = f"not installed ({purpose})", f"pip install 'ponder[{extra}]'"
        return {"what": name, "ok": None, "found": found, "remedy": remedy}


def _weights() -> dict[str, Any]:
    from ponder.engines.weights import locate
    from ponder.errors import PonderError

    try:
        path = locate("smollm2", settings_from())
    except PonderError as error:
        return _check("weights of smollm2", False, "not here, or not whole", str(error))
    return _check("weights of smollm2", True, str(path))


def _ledger() -> list[dict[str, Any]]:
    from ponder.errors import PonderError
    from ponder.ledger import Ledger, shown

    location = settings_from().ledger
    sqlite = _check("sqlite", True, sqlite3.sqlite_version)
    where = location.partition("://")[0]
    try:
        where = shown(location)
        if not Ledger.exists(location):
            return [sqlite, _check("ledger", True, f"none yet; the first run makes {where}")]
        with Ledger.open(location, write=False) as store:
            count, served = len(store.runs(requests=False)), store.served()
    except PonderError as error:
        return [sqlite, _check("ledger", False, where, str(error))]
    except OSError as error:
        return [sqlite, _check("ledger", False, where, f"set PONDER_LEDGER ({error.strerror}).")]
    requests = "" if served is None else f", {served.requests:,} served requests"
    return [sqlite, _check("ledger", True, f"{where}, {count} runs{requests}")]


def _disk() -> dict[str, Any]:
    folder = settings_from().cache
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e9
    return _check(
        "disk", free > 1.0, f"{free:.0f} GB free for weights", "free at least 1 GB, or set PONDER_CACHE."
    )
