"""The pages that answer the essay's claims: prose from `_NAME.md`, figures from committed results.

In a template `{{name}}` is a part of `essay_parts`; `{{govern CASE: OUTPUT}}` is an output of a calculator on
a committed example with its interval, and `{{share CASE: OUTPUT}}` one in percent; `{{rests: CASE}}` says
what a case rests on; `{{picture NAME: words}}` is a figure. The index tells each claim with its page's
paragraph that begins with `**In short.**`.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from functools import partial
from pathlib import Path

from docs.essay_parts import PARTS
from docs.essay_results import BENCHMARKS, claims, in_percent, output, rests_on, spanned
from docs.training_pages import table

__all__ = ["ESSAY_PAGES", "index_page", "page", "short_of", "verdict_of"]

FOLDER = Path(__file__).parent
INDEX = "inference-and-governance.md"
ECONOMY = "economy.md"
"""A calculator's page that answers none of the claims."""

SHORT = "**In short.** "
_WIDTH = 120
_AS_IT_IS = ("|", "#", "```", "![", "<")


def page(name: str) -> str:
    """A claim's page from its template `_NAME`. Raises KeyError for a part that there is not."""
    return _filled((FOLDER / f"_{name}").read_text("utf-8"))


def index_page() -> str:
    """All claims: each with its page's verdict in a table, then with its short answer."""
    answers = [(each, short_of(page(each["page"]))) for each in claims()]
    rows = [
        [str(place), f"[{each['title']}]({each['page']})", each["claim"], verdict_of(answer)]
        for place, (each, answer) in enumerate(answers, 1)
    ]
    told = [
        f"## {place}. {each['title']}\n\n*{each['claim']}*\n\n{answer}\n\n"
        f"[How, and where it fails]({each['page']})"
        for place, (each, answer) in enumerate(answers, 1)
    ]
    parts = {
        "summary": table(("", "claim", "in its simple form", "verdict"), rows),
        "claims": "\n\n".join(told),
    }
    template = (FOLDER / f"_{INDEX}").read_text("utf-8")
    for name, text in parts.items():
        template = template.replace(f"{{{{{name}}}}}", text)
    return _filled(template)


def verdict_of(short: str) -> str:
    """A short answer's first sentence."""
    return short.partition(". ")[0] + "."


def short_of(text: str) -> str:
    """A page's short answer."""
    block = next(each for each in text.split("\n\n") if each.startswith(SHORT))
    return " ".join(block.removeprefix(SHORT).split())


def _filled(template: str) -> str:
    text = re.sub(r"\{\{(.+?)\}\}", lambda match: _part(match.group(1)), template, flags=re.DOTALL)
    return "\n\n".join(map(_wrapped, _blocks(text)))


def _part(words: str) -> str:
    name = " ".join(words.split())
    kind, _, rest = name.partition(" ")
    if kind == "rests:":
        return rests_on(rest)
    if kind in _MADE and ": " in rest:
        return _MADE[kind](*rest.split(": ", 1))
    return PARTS[name]()


def _picture(name: str, said: str) -> str:
    drawn = BENCHMARKS / "essay" / f"{name}.svg"
    if not drawn.is_file():
        raise FileNotFoundError(f"{drawn} is not there; `make essay` draws it")
    return f"![{said}](../benchmarks/essay/{drawn.name})"


_MADE: dict[str, Callable[[str, str], str]] = {
    "govern": lambda of, name: spanned(output(of, name)),
    "share": lambda of, name: in_percent(output(of, name)),
    "picture": _picture,
}


def _blocks(text: str) -> list[str]:
    """Parted at blank lines; code is one block."""
    parts = re.split(r"(^```.*?^```$)", text.strip(), flags=re.DOTALL | re.MULTILINE)
    found = []
    for part in parts:
        found += [part] if part.startswith("```") else re.split(r"\n\s*\n", part)
    return [each.strip("\n") for each in found if each.strip()]


def _wrapped(block: str) -> str:
    """Paragraphs and points as wide as the page; tables, headings, code and pictures as they are."""
    if block.startswith(_AS_IT_IS):
        return block
    return "\n".join(_fill(each) for each in re.split(r"\n(?=- |\d+\. )", block))


def _fill(text: str) -> str:
    mark = re.match(r"- |\d+\. ", text)
    indent = " " * len(mark.group()) if mark else ""
    return textwrap.fill(
        " ".join(text.split()),
        _WIDTH,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


ESSAY_PAGES: dict[str, Callable[[], str]] = {
    INDEX: index_page,
    ECONOMY: partial(page, ECONOMY),
    **{each["page"]: partial(page, each["page"]) for each in claims()},
}
