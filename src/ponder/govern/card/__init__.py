"""The compute card: one page about one model, made from a real run."""

from __future__ import annotations

from ponder.govern.card.build import Options, card
from ponder.govern.card.document import SCHEMA_ID, VERSION, Card, schema
from ponder.govern.card.serving import FleetChoice, fleet_choice

__all__ = ["SCHEMA_ID", "VERSION", "Card", "FleetChoice", "Options", "card", "fleet_choice", "schema"]
