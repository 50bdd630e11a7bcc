"""What every page is made with: templates that escape, a policy that forbids, files that appear whole."""

from __future__ import annotations

import base64
import errno
import hashlib
from pathlib import Path
from typing import Any

from ponder.report import words

__all__ = ["TEMPLATES", "sha", "templates", "vl_convert", "write_whole"]

TEMPLATES = Path(__file__).parent / "templates"


def vl_convert() -> Any:
    """The module, which takes long to load."""
    import vl_convert

    return vl_convert


def write_whole(path: Path, content: bytes) -> None:
    """The file as a whole, or as it was. Raises OSError."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def sha(text: str) -> str:
    """A script's or a style's hash, as a Content-Security-Policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def templates(folder: Path = TEMPLATES) -> Any:
    """The pages' templates in a folder. Whatever they show is escaped, and plain where it is a text."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: words.plain(value) if type(value) is str else value,
    )
    environment.filters["share"] = lambda share: f"{100 * share:.0f}"
    environment.filters["compact"] = words.compact
    return environment
