"""The page on deployment: its figures are those of a committed outcome, which is what the calculator says."""

from __future__ import annotations

import math

import pytest
from benchmarks.essay import governance
from docs.deployment_page import deployment_page
from docs.essay_results import case, table_of


def test_the_committed_fleet_is_what_the_calculator_says() -> None:
    """Outputs and the tables of the page, from the committed recording on."""
    of = governance.CASES["scale"]
    found, told = governance.shortened(governance.answered(of), of), case("scale")
    for new, old in zip(found["outputs"], told["outputs"], strict=True):
        assert new["name"] == old["name"]
        ends = [[one[end] for end in ("median", "low", "high")] for one in (new, old)]
        assert ends[0] == (pytest.approx(ends[1], rel=1e-3) if None not in ends[1] else ends[1])
    for name in ("costs", "frontier_of_workers", "what_moves_workers"):
        rows = [each["tables"][name]["rows"] for each in (found, told)]
        for new, old in zip(*rows, strict=True):
            assert new[0] == old[0]
            assert [float(each) for each in new[1:]] == pytest.approx(
                [float(each) for each in old[1:]], rel=1e-3
            )


def test_every_part_is_filled_and_has_every_effort_that_is_shown() -> None:
    page = deployment_page()
    assert "{{" not in page
    for row in table_of("scale", "frontier_of_workers")[:5]:
        assert f"| {row['effort']} | " in page


def test_what_the_text_says_of_the_efforts_follows_from_their_figures() -> None:
    efforts = {row["effort"]: row for row in table_of("scale", "frontier_of_workers")}
    pays = {row["effort"]: float(row["pays from USD"]) for row in table_of("scale", "costs")}
    assert efforts["high"]["samples"] < 256 < efforts["xhigh"]["samples"]
    assert efforts["xhigh"]["accuracy"] < efforts["high"]["accuracy"]
    assert math.isinf(pays["xhigh"])
    assert "xhigh never" in deployment_page()
    moves = {row["change"]: row["times"] for row in table_of("scale", "what_moves_workers")}
    assert moves.pop("twice the chips") == 2.0
    assert max(moves.values()) < 1.0
