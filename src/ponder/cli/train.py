"""`ponder train`: one verb a file."""

from __future__ import annotations

import click

from ponder.cli.train_distill import distill
from ponder.cli.train_import import import_run
from ponder.cli.train_ladder import ladder
from ponder.cli.train_record import record
from ponder.cli.train_reward import reward
from ponder.cli.train_rl import rl
from ponder.cli.train_selfplay import selfplay
from ponder.cli.train_stages import stages


@click.group()
def train() -> None:
    """Turn inference into weights, with both kinds of compute on the ledger."""


train.add_command(distill)
train.add_command(import_run)
train.add_command(ladder)
train.add_command(record)
train.add_command(reward)
train.add_command(rl)
train.add_command(selfplay)
train.add_command(stages)
