"""How pages are written: templates that escape, and headers that forbid all but the page's own files."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from ponder._version import __version__
from ponder.report import words
from ponder.report._html import TEMPLATES as REPORT_TEMPLATES
from ponder.report._html import templates
from ponder.serve.page.session import Visitor

__all__ = ["HEADERS", "LINKS", "files", "page"]

_HERE = Path(__file__).parent
_TEMPLATES = templates(_HERE / "templates")

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; "
        "img-src data:; base-uri 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    # With `no-referrer` a browser sends a form with `Origin: null`, which is no origin of ours.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}

LINKS = {
    "Ask": ("/", ("local", "user", "operator")),
    "Answers": ("/answers", ("user", "operator")),
    "Requests": ("/requests", ("auditor",)),
    "Runs": ("/runs", ("local", "auditor", "operator")),
    "Keys": ("/keys", ("operator",)),
    "Report": ("/report", ("local", "operator")),
    "Erase": ("/erase", ("local", "operator")),
    "Usage": ("/usage", ("local", "user", "auditor", "operator")),
}
"""Each page's address and who may see it."""


def _file(*paths: Path) -> bytes:
    return b"\n".join(path.read_bytes() for path in paths)


_FILES = {
    "page.css": (
        "text/css; charset=utf-8",
        _file(REPORT_TEMPLATES / "report.css", _HERE / "static" / "page.css"),
    ),
    "page.js": ("text/javascript; charset=utf-8", _file(_HERE / "static" / "page.js")),
}
_EDITION = hashlib.sha256(b"".join(content for _, content in _FILES.values())).hexdigest()[:12]


def files() -> list[Route]:
    """The page's style and its script. Their address changes with their content, so a browser may keep
    them."""

    def serving(kind: str, content: bytes) -> Any:
        async def send(request: Request) -> Response:
            headers = {"cache-control": "public, max-age=31536000, immutable"}
            return Response(content, media_type=kind, headers=headers)

        return send

    return [Route(f"/static/{name}", serving(*each)) for name, each in _FILES.items()]


def page(template: str, who: Visitor, title: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A page. Every text in it is escaped, and plain."""
    links = [(name, address) for name, (address, roles) in LINKS.items() if who.role in roles]
    told = _TEMPLATES.get_template(template).render(
        title=title,
        version=__version__,
        edition=_EDITION,
        links=links,
        who=who,
        duration=words.duration,
        percent=words.percent,
        moment=_moment,
        minute=_minute,
        points=_points,
        **values,
    )
    return HTMLResponse(told, status_code=status, headers=HEADERS)


def _moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _minute(at: float) -> str:
    """For a column that is said to be of UTC."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"


def _points(share: float) -> str:
    """A difference of shares: +6, −2, ±0."""
    points = round(100 * share)
    return f"{points:+d}".replace("-", "\N{MINUS SIGN}") if points else "\N{PLUS-MINUS SIGN}0"
