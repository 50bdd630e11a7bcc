"""The pages that answer the essay's claims: each has a figure and an interval, from what is committed."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from benchmarks.essay import governance
from docs.essay_results import BRACKETS, case, claims, output, result

from docs import essay_index, essay_pages, essay_parts

DOCS = Path(__file__).parents[2] / "docs"
PICTURE = re.compile(r"!\[([^\]]+)\]\(([^)]+)\)")
CLAIMS = {each["id"]: each for each in claims()}


def committed(page: str) -> str:
    return (DOCS / page).read_text("utf-8")


def test_there_are_ten_claims_with_a_page_each() -> None:
    assert len(CLAIMS) == 10
    assert len({each["page"] for each in CLAIMS.values()}) == 10


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_claim_is_answered_with_a_figure_an_interval_and_its_limits(claim: str) -> None:
    text = committed(CLAIMS[claim]["page"])
    pictures = PICTURE.findall(text)
    assert pictures
    for said, path in pictures:
        assert len(said.split()) > 3
        drawn = ET.parse((DOCS / path).resolve()).getroot()
        assert drawn.tag.endswith("svg")
    assert re.search(BRACKETS, essay_pages.short_of(text)), "the short answer has no interval"
    for heading in ("## Where the simple form fails", "## What the numbers rest on", "## Do it again"):
        assert text.count(heading) == 1
    assert text.count("**The simple form.**") == 1


@pytest.mark.parametrize("claim", CLAIMS)
def test_the_index_tells_each_claim_as_its_page_does(claim: str) -> None:
    index = " ".join(committed(essay_pages.INDEX).split())
    page = CLAIMS[claim]["page"]
    assert essay_pages.short_of(committed(page)) in index
    assert f"({page})" in index
    verdict = essay_pages.verdict_of(essay_pages.short_of(committed(page)))
    assert f"| {CLAIMS[claim]['claim']} | {verdict} |" in index
    assert len(verdict.split()) <= 15, "a verdict is a short sentence"


@pytest.mark.parametrize(
    "page", [essay_pages.INDEX, essay_pages.ECONOMY, *(each["page"] for each in CLAIMS.values())]
)
def test_every_link_leads_somewhere(page: str) -> None:
    text = committed(page)
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        assert (DOCS / target).exists(), target
    for target, anchor in re.findall(r"\]\(([^)#]+\.md)#([^)]+)\)", text):
        headings = re.findall(r"^#+ (.+)$", committed(target), flags=re.MULTILINE)
        names = {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}
        assert anchor in names, f"{target}#{anchor}"


def test_every_part_is_used() -> None:
    """A part that no template names would go stale unseen."""
    templates = "\n".join(path.read_text("utf-8") for path in DOCS.glob("_*.md"))
    used = {" ".join(each.split()) for each in re.findall(r"\{\{(.+?)\}\}", templates, flags=re.DOTALL)}
    assert set(essay_parts.PARTS) <= used


def test_a_part_that_there_is_not_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "_page.md").write_text("{{no such part}}", "utf-8")
    monkeypatch.setattr(essay_pages, "FOLDER", tmp_path)
    with pytest.raises(KeyError, match="no such part"):
        essay_pages.page("page.md")


def test_paragraphs_are_wrapped_and_tables_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = "| " + "cell " * 40 + "|"
    text = f"{'word ' * 60}\n\n{row}\n\n- {'point ' * 40}\n- second\n\n```\n{'code ' * 40}\n\nend\n```\n"
    (tmp_path / "_page.md").write_text(text, "utf-8")
    monkeypatch.setattr(essay_pages, "FOLDER", tmp_path)
    lines = essay_pages.page("page.md").split("\n")
    assert row in lines
    assert any(line.startswith("code code") and len(line) > 150 for line in lines)
    assert "- second" in lines
    assert all(len(line) <= 120 for line in lines if line.startswith(("word", "- point", "  point")))


# ---------------------------------------------------------------- words follow from figures


def _numbers(text: str) -> list[float]:
    return [float(each) for each in re.findall(r"-?\d+(?:\.\d+)?", text.replace(",", ""))]


def part(name: str) -> list[float]:
    """The numbers of a part: value, low and high of a figure."""
    return _numbers(essay_parts.PARTS[name]())


def outcome(case: str, name: str) -> list[float]:
    found = output(case, name)
    return [float(found[end]) for end in ("median", "low", "high")]


def test_verdicts_of_laws_follow_from_their_figures() -> None:
    """Equal weights are out in most fits, by either form; larger models gain more in most comparisons and not
    in all."""
    apart, fits = part("apart from one")
    assert apart > fits / 2
    others = [essay_index.by_size_and_tokens(study) for study in essay_index.fits()]
    assert max(others) < 1.0
    assert part("other weight, votes")[0] < part("weight, votes")[1], "beyond the interval"
    assert part("weight, any right")[2] < 1.0
    more, less, neither = part("compared by law")
    assert more > less + neither
    assert less > 0


def test_no_chance_is_told_of_a_fit_that_foretells_badly() -> None:
    rows = [row.strip("|").split("|") for row in essay_index.weights_table().splitlines()[2:]]
    assert len(rows) == len(essay_index.fits())
    for row in rows:
        assert (row[-1].strip() == "–") == (row[-2].strip() != "law")


def test_verdicts_of_calculators_follow_from_their_figures() -> None:
    assert part("twice the chips") == [2.0, 2.0, 2.0]
    assert all(part(name)[2] < 1.0 for name in ("twice the samples", "longer prompt", "longer tasks"))
    gaps = result("governance")["gaps"]
    for actor in ("poorer", "small"):
        assert gaps[actor]["last"]["value"] > gaps[actor]["first"]["value"], "they fall further behind"
        assert gaps[actor]["grown"] > 0.75
    assert gaps["follower"]["more"]["value"] < 0.0 < gaps["follower"]["last"]["low"], "it comes nearer"
    assert outcome("buffer", "line")[2] < 1e26, "a buffer is needed"
    moving = [each["origin"] for each in case("buffer")["assumptions"].values()]
    assert moving.count("assumed") > moving.count("published"), "its size is mostly assumed"
    assert outcome("defend", "floor")[0] > 0.25 * outcome("defend", "exploited")[0], "patches take time"
    assert outcome("defend, no search", "exploited")[1] > outcome("defend", "exploited")[2], "or the search"
    assert part("compute ratio")[1] < 1.0 < 100.0 < part("compute ratio")[2], "each side is drawn by itself"
    assert outcome("economy", "training_growth")[1] > 1.0
    assert outcome("economy", "share")[0] > outcome("economy", "share_at_cost")[0]
    assert outcome("theft", "kept")[2] < 1.0
    assert outcome("theft", "unhindered")[1] > 1e4, "enough for few tasks"


def test_the_scaffold_of_the_theft_is_told_as_assumed_and_as_what_it_is() -> None:
    told = next(each for name, each in case("theft")["assumptions"].items() if name == "scaffold")
    assert (told["value"], told["origin"]) == (8.0, "assumed")
    assert "which is assumed to be worth eight times the training" in " ".join(committed("theft.md").split())


def test_verdicts_of_recordings_follow_from_their_figures() -> None:
    assert part("seen with 1")[2] < 50.0 < part("seen with 256")[1]
    assert part("seen by votes")[2] < 50.0
    assert part("student after")[1] > part("student before")[2]
    assert part("student unfiltered")[2] < 0.0
    assert part("reinforced")[1] > part("teacher")[2]
    yes_or_no = result("accounts")["readings"]["rollouts"]
    assert set(yes_or_no) == {"ambiguous"}, "no rule says whether rollouts count"


# ---------------------------------------------------------------- the committed results are the program's


QUICK = [name for name, case in governance.CASES.items() if case.law is None]
"""Those that need no law, and so take no time."""


@pytest.mark.parametrize("name", QUICK)
def test_a_committed_outcome_is_what_the_calculator_says(name: str) -> None:
    """Where it differs, `make essay` writes the new one."""
    of = governance.CASES[name]
    found = governance.shortened(governance.answered(of), of)
    told = result("governance")["cases"][name]
    assert found["origins"] == told["origins"]
    for new, old in zip(found["outputs"], told["outputs"], strict=True):
        assert new["name"] == old["name"]
        ends = [[one[end] for end in ("median", "low", "high")] for one in (new, old)]
        numbers, committed_numbers = (
            [None if end is None else float(end) for end in each] for each in ends
        )  # infinity is a word there
        for number, told_number in zip(numbers, committed_numbers, strict=True):
            known = told_number is not None
            assert number == (pytest.approx(told_number, rel=1e-3, abs=1e-12) if known else None)


def test_committed_comparisons_of_draws_are_what_the_calculators_say() -> None:
    told = result("governance")
    assert governance.compute_ratio() == pytest.approx(told["compute_ratio"], rel=1e-3)
    for actor, gap in governance.gaps().items():
        for name, found in gap.items():
            assert found == pytest.approx(told["gaps"][actor][name], rel=1e-3, abs=1e-3)


def test_paths_of_the_economy_are_drawn_with_their_bands() -> None:
    for name in ("revenue", "training"):
        assert f"essay/{name}.svg" in committed(essay_pages.ECONOMY)
        drawn = ET.parse(DOCS.parent / "benchmarks" / "essay" / f"{name}.svg")
        marks = {each.get("aria-roledescription") for each in drawn.iter()}
        assert {"area mark container", "line mark container"} <= marks


def test_committed_accounts_are_what_the_rules_say() -> None:
    told = result("accounts")
    assert governance.readings() == told["readings"]
    binding = governance.readings(binding=True)
    assert binding == told["readings_in_force"]
    for stage, counts in binding.items():
        assert 0 < sum(counts.values()) < sum(told["readings"][stage].values()), "drafts bind nobody"
    for name, rows in governance.accounts().items():
        for new, old in zip(rows, told["lives"][name], strict=True):
            assert (new["rule"], new["side"]) == (old["rule"], old["side"])
            for one, other in zip(new["sums"], old["sums"], strict=True):
                assert one["value"] == pytest.approx(other["value"], rel=1e-3)


def test_the_limits_of_diffusion_are_the_formulas() -> None:
    """Costs fall 3.9 times a year, and a tenth of the budget is 1.7 years: with the caveat on a lag."""
    table = essay_parts.limits_table().splitlines()[2:]
    cells = [[each.strip() for each in row.strip("|").split("|")] for row in table]
    assert [row[2] for row in cells] == ["3.9×", "1.7 years", "5.0 years", "0.8 years"]
    assert all(row[2] == row[3] for row in cells)
