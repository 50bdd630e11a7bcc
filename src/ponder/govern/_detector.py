"""What a calculator takes from a measured detector: how the share of attacks that it catches rises with the
compute spent on an item."""

from __future__ import annotations

from pathlib import Path

from ponder.errors import InputError
from ponder.govern.calculator import Measured
from ponder.laws.detection import PARAMETERS, read_detector
from ponder.quantity import from_draws, point

__all__ = ["detector"]


def detector(named: str) -> Measured:
    """From "FILE" or "FILE#LAW", a result of `benchmarks.defence`: the parameters of its law, and the compute
    that it was measured at, the most of which is what an item is inspected with unless another is given.

    Raises InputError for no name and for a file that holds none, UnknownName for a law that it has not.
    """
    file, _, law = named.partition("#")
    if not file.strip():
        raise InputError("detector: it is empty; name a result of `python -m benchmarks.defence`.")
    found = read_detector(Path(file), law or None)
    together = f"detector {named}"
    quantities = {
        f"catch_{name}": from_draws(draws, value=float(value), together=together)
        for name, value, draws in zip(PARAMETERS, found.value, found.draws.T, strict=True)
    }
    # The floor is the rate at which the threshold was set: a choice, and no estimate.
    quantities["catch_floor"] = point(found.false_alarm)
    quantities |= {
        "catch_least": point(found.least, "FLOP"),
        "catch_most": point(found.most, "FLOP"),
        "inspection": point(found.most, "FLOP"),
    }
    return Measured(
        quantities,
        source=f"{found.name}: {found.items} attacked items, {found.attacker}, {file}",
        notes=(
            f"The law of detection is that of {found.detector} against {found.attacker}; that other "
            "detectors gain as much by compute, against other attackers, is an assumption.",
        ),
    )
