"""`ponder tasks`."""

from __future__ import annotations

from typing import Any

import click

from ponder.cli._output import cells, clean, complain, console, emit, json_option, settings_from


@click.group()
def tasks() -> None:
    """List the tasks, or show one with its prompt."""


@tasks.command("list")
@json_option
def list_tasks(as_json: bool) -> None:
    """List the tasks of ponder itself. Every reasoning-gym generator works too, by its own name."""
    from rich.table import Table

    from ponder.tasks import describe, names

    rows: list[dict[str, Any]] = []
    for name in names():
        about = describe(name)
        rows.append(
            {
                "name": about.name,
                "title": about.title,
                "grader": about.grader,
                "parameters": dict(about.parameters),
                "source": about.source,
            }
        )
    if as_json:
        emit(rows)
        return
    table = Table("task", "title", "grader", "parameters", box=None, header_style="bold", pad_edge=False)
    for row in rows:
        given = ", ".join(f"{k}={v}" for k, v in row["parameters"].items())
        table.add_row(*cells(row["name"], row["title"], row["grader"], given or "–"))
    console().print(table)
    console().print("Also: any reasoning-gym generator by name, and your own problems as FILE.jsonl.")


@tasks.command()
@click.argument("spec")
@click.option("--problems", type=int, default=3, show_default=True, help="How many problems to show.")
@json_option
def show(spec: str, problems: int, as_json: bool) -> None:
    """Show a task: its prompt as the model sees it, and a few problems with their keys."""
    from ponder.tasks import load

    found = load(spec, problems=problems, seed=settings_from().seed)
    first = found.problems[0].question
    document = {
        "name": found.name,
        "title": found.title,
        "grader": found.grader,
        "prompt": found.prompt_text,
        "stop": list(first.stop),
        "max_tokens": first.max_tokens,
        "extract": first.extract,
        "problems": [
            {"id": p.question.id, "question": p.question.text, "answer": p.key} for p in found.problems
        ],
    }
    for note in found.notes:
        complain(note)
    if as_json:
        emit(document)
        return
    click.echo(clean(f"{found.title}\ngraded by: {found.grader}; choice read by: {first.extract}"))
    click.echo(f"stop: {list(first.stop)}; at most {first.max_tokens} generated tokens\n\nprompt:\n")
    click.echo(clean(found.prompt_text) + "\n")
    for problem in found.problems:
        click.echo(clean(f"{problem.question.id}: {problem.question.text}  ->  {problem.key}"))
