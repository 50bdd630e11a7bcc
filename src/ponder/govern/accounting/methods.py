"""FLOP by operations, with what a reader must know of the count: inactive experts, and attention left out."""

from __future__ import annotations

from dataclasses import dataclass

from ponder.govern.accounting.stages import KINDS, Attention, Estimate, by_architecture

__all__ = ["Noted", "attended", "counted_operations"]

_NOTICEABLE = 0.1


@dataclass(frozen=True, slots=True)
class Noted:
    """FLOP, None where unknown, and sentences about them."""

    flop: Estimate | None
    notes: tuple[str, ...]


def attended(layers: Estimate, width: Estimate, context: Estimate, d_model: Estimate) -> Attention:
    """A shape is known: its middle is taken."""
    return Attention(layers.value, width.value, context.value, d_model.value)


def counted_operations(
    kind: str,
    every: Estimate | None,
    active: Estimate | None,
    tokens: Estimate,
    attention: Attention | None,
) -> Noted:
    """FLOP of `tokens` with the parameters that a token passes through: the active ones of a mixture of
    experts, of which `every` counts all. One of the two must be there."""
    used = active if active is not None else every
    assert used is not None
    flop = by_architecture(kind, used, tokens, attention)
    notes = []
    if active is not None and every is not None and every.value > active.value:
        notes.append(
            f"counted with the {active.value:.3g} parameters that a token passes through; with all "
            f"{every.value:.3g} it would be {every.value / active.value:.3g} times as much, and the formula "
            "of 6 times all parameters is meant for dense models"
        )
    if attention is not None:
        notes += _attention_note(kind, used, tokens, attention, flop)
    return Noted(flop, tuple(notes))


def _attention_note(
    kind: str, used: Estimate, tokens: Estimate, attention: Attention, flop: Estimate
) -> list[str]:
    """Where leaving attention out would show. The test in the EU guidelines' footnote 13 compares the context
    with the number of parameters; Kaplan et al. 2020 §2.1 compare it with the model's width."""
    without = by_architecture(kind, used, tokens)
    more = flop.value / without.value - 1.0
    if more < _NOTICEABLE:
        return []
    formula = "6ND" if KINDS[kind].learns else "2ND"
    told = (
        f"attention adds {100 * more:.0f}% to {formula} here: the context is {attention.against_weights:.2g} "
        "times 12 model widths, and it may be left out only where that is far below 1"
    )
    if attention.passes_footnote(used.value):
        told += (
            "; the test as footnote 13 of the EU guidelines prints it, parameters against a twelfth of the "
            "context, passes all the same, for it compares the wrong number"
        )
    return [told]
