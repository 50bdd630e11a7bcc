"""Write the pictures of laws: a .png, an .svg, or the numbers as .json."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ponder.errors import InputError, MissingExtra
from ponder.laws.draws import DrawsStudy
from ponder.laws.spending import SpendingStudy
from ponder.laws.study import ExchangeStudy, WorthStudy
from ponder.report._html import write_whole
from ponder.report.curve_charts import draws_chart
from ponder.report.law_charts import exchange_chart, spending_chart, worth_chart

__all__ = ["SUFFIXES", "Study", "picture_paths", "write_picture"]

SUFFIXES = (".png", ".svg", ".json")

Study = DrawsStudy | SpendingStudy | ExchangeStudy | WorthStudy

_CHARTS: Mapping[type[Any], Callable[[Sequence[Any]], Any]] = {
    DrawsStudy: draws_chart,
    SpendingStudy: spending_chart,
    ExchangeStudy: exchange_chart,
    WorthStudy: worth_chart,
}


def picture_paths(out: Path) -> tuple[Path, ...]:
    """`out` itself, or without an ending the three files of that name. Raises InputError for another
    ending, and for a folder."""
    if out.is_dir():
        raise InputError(f"out: {out} is a folder; give the path of a file in it.")
    if out.suffix in SUFFIXES:
        return (out,)
    if out.suffix:
        raise InputError(f"out: {out.name} is no {', '.join(SUFFIXES)}; give one of these, or no suffix.")
    return tuple(out.with_suffix(suffix) for suffix in SUFFIXES)


def write_picture(
    studies: Sequence[Study],
    out: Path,
    *,
    chart: Callable[[Sequence[Any]], Any] | None = None,
    document: Any = None,
) -> list[Path]:
    """Write what `picture_paths` tells, all or none; what was written. The studies are of one kind. `chart`
    draws them in another way than its own, `document` is another .json than that of the studies.

    Raises InputError for another ending, MissingExtra where a picture cannot be drawn.
    """
    paths = picture_paths(out)
    draw = chart or _CHARTS[type(studies[0])]
    contents = [_content(studies, path.suffix, draw, document) for path in paths]
    for path, content in zip(paths, contents, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    return list(paths)


def _content(
    studies: Sequence[Study], suffix: str, draw: Callable[[Sequence[Any]], Any], document: Any
) -> bytes:
    if suffix == ".json":
        told = [study.to_json() for study in studies] if document is None else document
        return (json.dumps(told, indent=1, allow_nan=False) + "\n").encode()
    try:
        import vl_convert
    except ImportError as error:
        raise MissingExtra("the figure", "report") from error
    specification = draw(studies).to_dict(validate=False)
    if suffix == ".png":
        return bytes(vl_convert.vegalite_to_png(specification, scale=2))
    return str(vl_convert.vegalite_to_svg(specification)).encode()
