"""Write the pages that are made from code, or check that they are up to date.

python -m docs.generate            writes docs/cli.md, docs/configuration.md and the pages of measured figures
python -m docs.generate --check    fails when a page differs from what would be written
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from docs.defence_page import defence_page
from docs.deployment_page import deployment_page
from docs.essay_pages import ESSAY_PAGES
from docs.findings_page import findings_page
from docs.ladder_section import ladder_section
from docs.monitor_page import monitor_page
from docs.training_pages import distillation_page, read, rl_page, selfplay_page
from ponder.cli import cli
from ponder.config import ENV_PREFIX, Settings, efforts
from ponder.govern.card import schema

FOLDER = Path(__file__).parent
MEASURED = FOLDER.parent / "benchmarks" / "results" / "strategies"


def _commands(command: click.Command, path: str, parent: click.Context | None) -> Iterator[str]:
    context = click.Context(command, info_name=path.rsplit(" ", 1)[-1], parent=parent, max_content_width=96)
    context.terminal_width = 96
    yield f"## `{path}`\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _commands(inner, f"{path} {name}", context)


def command_page() -> str:
    """Every verb's help."""
    head = (
        "# The command line\n\n"
        "Generated from the program (`make docs`). Exit codes: 0 done; 2 what was asked cannot be done, "
        "with one sentence on standard error (and as JSON on standard output after `--json`); 3 `ask` "
        "found no answer; 130 interrupted; 141 nobody reads the output any more; 1 a defect of ponder.\n"
    )
    return "\n".join([head, *_commands(cli, "ponder", None)])


def settings_page() -> str:
    """The table of settings."""
    rows = []
    for name, field in Settings.model_fields.items():
        if field.default_factory is dict:
            continue
        default = field.get_default(call_default_factory=True)
        if field.default_factory is not None:
            default = {"ledger": "user data folder", "cache": "user cache folder"}[name]
        variable = f"`{ENV_PREFIX}{name.upper()}`"
        rows.append(
            f"| `{name}` | {variable} | {'–' if default is None else f'`{default}`'} | {field.description} |"
        )
    text = (FOLDER / "_configuration.md").read_text("utf-8")
    words = [f"| `{word}` | `{row.strategy}` | {row.budget or '–'} |" for word, row in efforts().items()]
    return text.replace("{{settings}}", "\n".join(rows)).replace("{{effort}}", "\n".join(words))


def strategies_page() -> str:
    """When each strategy pays, with its measured curve."""
    curves: dict[str, list[str]] = {}
    for path in sorted(MEASURED.glob("*.json")):
        for task in json.loads(path.read_text("utf-8"))["tasks"]:
            plain = next(c for c in task["curves"] if c["strategy"] == "vote")
            for curve in task["curves"]:
                curves.setdefault(curve["strategy"], []).append(_curve_row(task["task"], curve, plain))
    text = (FOLDER / "_strategies.md").read_text("utf-8")
    text = text.replace("{{on the ladder}}", ladder_section(read("search_on_ladder")))

    def table(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in curves:
            return ""
        head = f"| {name} on | accuracy · tokens, by scale | vote@16 |"
        return "\n".join(["", head, "|---|---|---|", *curves[name]])

    return re.sub(r"\n{3,}", "\n\n", re.sub(r"\{\{(.+?)\}\}", table, text))


def _curve_row(task: str, curve: dict[str, Any], plain: dict[str, Any]) -> str:
    def cell(point: dict[str, Any]) -> str:
        tokens = "?" if point["tokens"] is None else f"{point['tokens']:,.0f}"
        return f"{100 * point['accuracy']:.0f} · {tokens}"

    powers = [p for p in curve["points"] if p["k"].bit_count() == 1 or p is curve["points"][-1]]
    shown = ", ".join(f"**@{p['k']}** {cell(p)}" for p in powers)
    return f"| {task} | {shown} | {cell(plain['points'][-1])} |"


def card_schema() -> str:
    """The compute card's JSON Schema."""
    return json.dumps(schema(), indent=1, ensure_ascii=False)


PAGES = {
    "cli.md": command_page,
    "compute-card.schema.json": card_schema,
    "configuration.md": settings_page,
    "strategies.md": strategies_page,
    "distillation.md": distillation_page,
    "self-play.md": selfplay_page,
    "reinforcement-learning.md": rl_page,
    "deployment.md": deployment_page,
    "findings.md": findings_page,
    "defence.md": defence_page,
    "monitor.md": monitor_page,
    **ESSAY_PAGES,
}


def main(arguments: list[str]) -> int:
    """Write or check; the exit code."""
    stale = []
    for name, make in PAGES.items():
        path, text = FOLDER / name, make().rstrip() + "\n"
        if "--check" in arguments:
            if not path.exists() or path.read_text("utf-8") != text:
                stale.append(name)
        else:
            path.write_text(text, "utf-8")
    if stale:
        print(f"docs: {', '.join(stale)} differ from the program; run `make docs`.", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
