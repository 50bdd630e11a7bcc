"""The page as text: what it says, what it escapes, what it refuses to load."""

from __future__ import annotations

import json
import re
import sys
from html.parser import HTMLParser

import pytest

from ponder.errors import InputError, MissingExtra
from ponder.report import page


class Tags(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes = [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]


@pytest.fixture(scope="session")
def planted(build_measurement, tmp_path_factory):
    return page.write_report(build_measurement(tasks=2, planted=True), tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="session")
def written(measurement, tmp_path_factory):
    return page.write_report(measurement, tmp_path_factory.mktemp("report") / "new" / "folder")


def test_it_writes_three_files_and_leaves_no_part(written):
    assert written.png.read_bytes().startswith(b"\x89PNG")
    assert written.svg.read_text(encoding="utf-8").startswith("<svg")
    assert sorted(p.name for p in written.html.parent.iterdir()) == ["curve.png", "curve.svg", "report.html"]
    assert written.html.stat().st_size < 3_000_000


def test_the_picture_is_twice_its_size(written):
    width = int.from_bytes(written.png.read_bytes()[16:20], "big")
    declared = float(re.search(r'width="([\d.]+)"', written.svg.read_text(encoding="utf-8")).group(1))
    assert width == pytest.approx(2 * declared, abs=2)


def test_the_page_says_what_was_measured(written, measurement):
    html = written.html.read_text(encoding="utf-8")
    for said in (
        measurement.ledger_head,
        measurement.reproducible,
        *measurement.notes,
        "coverage (oracle bound)",
        "sampling.temperature",
        "unknown",
        "The answer is 11.",
    ):
        assert said in html
    for task in measurement.tasks:
        assert f"<bdi>{task.title}</bdi>" in html


def test_planted_markup_stays_text(planted):
    html = planted.html.read_text(encoding="utf-8")
    found = Tags(html)
    assert "img" not in found.tags
    assert found.tags.count("script") == 3
    assert not [a for a in found.attributes if a[1].startswith("on")]
    assert "&lt;script&gt;window.pwned=1&lt;/script&gt;" in html
    assert "{{ 7*7 }}" in html
    assert "\x1b" not in html


def test_nothing_is_loaded_from_anywhere(planted):
    found = Tags(planted.html.read_text(encoding="utf-8"))
    loading = [(t, n, v) for t, n, v in found.attributes if n in ("src", "href", "srcset", "action", "data")]
    assert loading == [("link", "href", "data:,")]
    policy = next(v for t, n, v in found.attributes if n == "content" and "default-src" in v)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_embedded_json_cannot_end_its_script():
    value = ["</script><!--", "\u2028", "&amp;", "\ud800"]
    text = page._embed(value)
    assert not re.search(r"[<>&\u2028\u2029]", text)
    assert text.isascii()
    assert json.loads(text) == value


def test_unknown_compute_still_makes_a_report(build_measurement, tmp_path):
    paths = page.write_report(build_measurement(tasks=1, tokens=False, flop=False), tmp_path)
    html = paths.html.read_text(encoding="utf-8")
    assert "Samples per problem" in html
    assert "FLOP are unknown" in html
    assert "tokens are unknown" in html


def test_a_folder_that_cannot_be_written_is_one_sentence(measurement, tmp_path):
    (tmp_path / "file").write_text("in the way", "utf-8")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("x" * 300)):
        for attempt in (page.require_folder, lambda f: page.write_report(measurement, f)):
            with pytest.raises(InputError, match=r"report folder .* cannot be written \(.+\); give another"):
                attempt(folder)
    page.require_folder(tmp_path / "new" / "one")
    assert list((tmp_path / "new" / "one").iterdir()) == []


def test_a_file_that_cannot_be_written_is_one_sentence(build_measurement, tmp_path):
    (tmp_path / "curve.svg").mkdir()
    with pytest.raises(InputError, match=r"report folder .* cannot be written \(.+\); give another"):
        page.write_report(build_measurement(tasks=1), tmp_path)


def test_steering_marks_do_not_reach_the_page(build_measurement, tmp_path):
    paths = page.write_report(build_measurement(tasks=1, title="evil \u202e title\u2066"), tmp_path)
    body = paths.html.read_text(encoding="utf-8").partition("<body>")[2].partition("<script")[0]
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", body)


@pytest.mark.parametrize("module", ["altair", "vl_convert", "jinja2"])
def test_a_missing_library_names_the_extra_and_writes_nothing(measurement, monkeypatch, tmp_path, module):
    page.require_report()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=r"ponder\[report\]"):
        page.require_report()
    with pytest.raises(MissingExtra, match=r"ponder\[report\]"):
        page.write_report(measurement, tmp_path / "out")
    assert not (tmp_path / "out").exists()
