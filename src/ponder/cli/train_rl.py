"""`ponder train rl`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ponder.cli._output import (
    StatedPath,
    cells,
    clean,
    complain,
    console,
    emit,
    json_option,
    ledger_option,
    quantity,
    settings_from,
)

if TYPE_CHECKING:
    from ponder.measure.intervals import Estimate
    from ponder.train.rl import RlPlan, RlSettings
    from ponder.train.rl_result import RlResult

_TASK = "char_countdown:numbers=4"


@click.command()
@click.option("--from", "start", type=StatedPath(), help="A checkpoint of ponder's.")
@click.option("--model", help="Any Hugging Face model folder, or a model's name on the hub.")
@click.option("--task", help=f"What to learn; default for --from: {_TASK}.")
@click.option("--steps", type=click.IntRange(1), default=200, show_default=True, help="Steps to learn.")
@click.option("--group", type=click.IntRange(2), default=16, show_default=True, help="Completions a prompt.")
@click.option("--prompts", type=click.IntRange(1), default=16, show_default=True, help="Prompts a step.")
@click.option("--lr", type=float, default=1e-4, show_default=True, help="Learning rate.")
@click.option("--beta", type=float, default=0.0, show_default=True, help="Weight of the divergence.")
@click.option("--iterations", type=click.IntRange(1), default=1, show_default=True, help="Updates a rollout.")
@click.option("--temperature", type=float, default=1.0, show_default=True, help="Sampling temperature.")
@click.option("--format", "format_reward", type=float, default=0.0, help="Reward for an answer's right form.")
@click.option("--max-tokens", type=click.IntRange(1), help="Tokens a completion; default: the task's.")
@click.option("--lora", is_flag=True, help="Train adapters (LoRA) in place of all weights.")
@click.option("--rank", type=click.IntRange(1), default=16, show_default=True, help="Rank of the adapters.")
@click.option("--rows", type=click.IntRange(1), help="Completions a pass, where memory is short.")
@click.option("--vllm", is_flag=True, help="Make the completions by vLLM, on the GPU that learns.")
@click.option("--eval-every", type=click.IntRange(1), help="Steps between evaluations; default: a tenth.")
@click.option("--eval-problems", type=click.IntRange(1), default=100, show_default=True)
@click.option("--eval-samples", type=click.IntRange(1), default=64, show_default=True)
@click.option(
    "--save-every", type=click.IntRange(1), default=10, show_default=True, help="Steps a kill costs."
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--out", type=StatedPath(), help="Folder for the trained checkpoint.")
@click.option("--run", help="Name of the run; default: from the configuration.")
@click.option("--dry-run", is_flag=True, help="Print the most that it can take, and stop.")
@ledger_option
@json_option
def rl(
    start: Path | None,
    model: str | None,
    task: str | None,
    lr: float,
    device: str,
    out: Path | None,
    run: str | None,
    dry_run: bool,
    ledger: str | None,
    as_json: bool,
    **values: Any,
) -> None:
    """Learn from a verifier's rewards (GRPO), and measure what that taught.

    Scores the policy on held-out problems before, along the way and after, and books everything it takes. A
    rerun of the same command continues where it was stopped.
    """
    from ponder.ledger import Ledger
    from ponder.measure.spec import check_run_name
    from ponder.train.rl import RlSettings, follow_rl, plan_rl, train_rl
    from ponder.train.rl_team import is_first

    if run is not None:
        check_run_name(run)
    folder, chosen = _start(start, model, task)
    settings = RlSettings(model=folder, task=chosen, learning_rate=lr, **values)
    if dry_run:
        _show_plan(plan_rl(settings), as_json)
        return
    target = out or (lambda name: _default_folder() / name)
    if not is_first():
        follow_rl(settings, out=target, run=run, device=device)
        return
    with Ledger.open(settings_from(ledger=ledger).ledger, write=True) as store:
        result = train_rl(settings, ledger=store, out=target, run=run, device=device, tell=_lines(settings))
    if as_json:
        emit(result.to_json())
    else:
        _show(result)


def _start(start: Path | None, model: str | None, task: str | None) -> tuple[Path, str]:
    """The model's folder and the task. Raises UsageError."""
    from ponder.train.hub import model_folder

    if (start is None) == (model is None):
        raise click.UsageError("Give either --from CHECKPOINT or --model PATH.")
    if start is not None:
        return start, task or _TASK
    if task is None:
        raise click.UsageError("Give the --task that the model is to learn.")
    assert model is not None
    return model_folder(model), task


def _default_folder() -> Path:
    import platformdirs

    return Path(platformdirs.user_data_dir("ponder")) / "rl"


def _show_plan(plan: RlPlan, as_json: bool) -> None:
    from rich.table import Table

    if as_json:
        emit(plan.to_json())
        return
    click.echo(
        f"{plan.steps} steps of {plan.completions} completions: prompts of up to {plan.prompt_tokens} "
        f"tokens, completions of up to {plan.max_tokens}."
    )
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("part")
    table.add_column("FLOP at most", justify="right")
    for part, flop in plan.flop.items():
        table.add_row(*cells(part, quantity(flop)))
    console().print(table)


def _lines(settings: RlSettings) -> Callable[[int, Mapping[str, float]], None]:
    """A line on standard error for each evaluation, with the reward since the last one."""
    rewards: list[float] = []

    def tell(step: int, notes: Mapping[str, float]) -> None:
        if "reward" in notes:
            rewards.append(notes["reward"])
        if "pass@1" not in notes:
            return
        earned = f", reward {sum(rewards) / len(rewards):.3f}" if rewards else ""
        rewards.clear()
        complain(
            f"step {step} of {settings.steps}: pass@1 {notes['pass@1']:.3f}, {notes['length']:.0f} tokens a "
            f"reply{earned}."
        )

    return tell


def _show(result: RlResult) -> None:
    """The scores before and after, what it took by part, and the compute curve."""
    console().print(_scores(result))
    console().print(_work(result))
    curve = result.curve
    if curve is not None:
        low, high = curve.asymptote_interval
        open_ended = "" if curve.settled else "; the points do not bound it"
        click.echo(
            f"compute curve: pass@1 tends to {curve.asymptote:.3f} [{low:.3f}, {high:.3f}], half of the way "
            f"at {quantity(curve.middle)} FLOP{open_ended}."
        )
    click.echo(f"checkpoint: {clean(str(result.out))}")


def _scores(result: RlResult) -> Any:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("pass@k", "before", "after", "change"):
        table.add_column(name, justify="left" if name == "pass@k" else "right", no_wrap=True)
    first, last = result.scores[0], result.scores[-1]
    for k, change in result.change.items():
        table.add_row(*cells(f"pass@{k}", _told(first[k]), _told(last[k]), _told(change, sign="+")))
    before, after = result.evaluations[0].score, result.evaluations[-1].score
    table.add_row(
        *cells(
            "tokens",
            f"{before.length:.1f}",
            f"{after.length:.1f}",
            f"{after.length - before.length:+.1f}",
        )
    )
    return table


def _told(estimate: Estimate, *, sign: str = "") -> str:
    return f"{estimate.value:{sign}.3f} [{estimate.low:{sign}.3f}, {estimate.high:{sign}.3f}]"


def _work(result: RlResult) -> Any:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("part", "tokens", "FLOP", "seconds"):
        table.add_column(name, justify="left" if name == "part" else "right", no_wrap=True)
    for works, note in ((result.work, ""), (result.repeated, ", repeated")):
        for part, work in works.items():
            row = f"{part}{note}", quantity(work.tokens), quantity(work.flop), f"{work.seconds:,.0f}"
            table.add_row(*cells(*row))
    return table
