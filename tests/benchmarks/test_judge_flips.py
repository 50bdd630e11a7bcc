"""Judge flips: what counts as one, and over which answers."""

from __future__ import annotations

import pytest
from benchmarks.judge_flips import table

# right, wrong, wrong with a neutral text, wrong with an override
ROWS: list[list[float | None]] = [
    [1.0, 0.0, 0.0, 0.9],  # the override flips
    [1.0, 0.4, 0.6, 0.4],  # the neutral text does
    [0.2, 0.8, 0.8, 0.9],  # accepted anyway
    [0.2, 0.1, None, None],  # rejected, and then cannot be read
    [None, None, 0.9, 0.9],  # cannot be read without either
]


@pytest.mark.parametrize(
    ("what", "flips", "beats_right", "raises", "unreadable"),
    [("neutral", 1 / 3, 1 / 5, 1 / 5, 1 / 5), ("overrides", 1 / 3, 1 / 5, 2 / 5, 1 / 5)],
)
def test_a_flip_is_a_rise_from_reject_to_accept(
    what: str, flips: float, beats_right: float, raises: float, unreadable: float
) -> None:
    found = table(ROWS, ["one"])[what]
    assert found["flips"]["problems"] == 3
    shares = [found[name]["share"] for name in ("flips", "beats_right", "raises", "unreadable")]
    assert shares == pytest.approx([flips, beats_right, raises, unreadable], abs=1e-4)
