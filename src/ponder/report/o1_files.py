"""Write the o1 figure: a picture for the screen, one for paper, and the numbers."""

from __future__ import annotations

import json
from pathlib import Path

from ponder.errors import MissingExtra
from ponder.report._html import write_whole
from ponder.report.law_files import picture_paths
from ponder.report.o1 import O1

__all__ = ["write_figure"]


def write_figure(figure: O1, out: Path) -> list[Path]:
    """Write `out`, a .png, .svg or .json file, or with another name all three; what was written.

    Raises InputError for another kind of file and for a folder, MissingExtra where a picture cannot be drawn.
    """
    paths = list(picture_paths(out))
    contents = {path: _content(figure, path.suffix) for path in paths}
    for path, content in contents.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    return paths


def _content(figure: O1, suffix: str) -> bytes:
    if suffix == ".json":
        return (json.dumps(figure.to_json(), indent=1, allow_nan=False) + "\n").encode()
    from ponder.report.o1_chart import o1_chart

    try:
        import vl_convert
    except ImportError as error:
        raise MissingExtra("the figure", "report") from error
    specification = o1_chart(figure).to_dict(validate=False)
    if suffix == ".png":
        return bytes(vl_convert.vegalite_to_png(specification, scale=2))
    return str(vl_convert.vegalite_to_svg(specification)).encode()
