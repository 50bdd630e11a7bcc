"""The page of runs and reports, and what more effort would buy by their laws."""

import re
import threading
import time
from pathlib import Path
from random import Random

import pytest

from ponder.api import measure_tasks
from ponder.config import Settings
from ponder.core import Request
from ponder.engines.scripted import ScriptedEngine
from ponder.errors import LawUndefined
from ponder.laws import Counts, counts_of
from ponder.serve import opening
from ponder.serve.house import Options
from ponder.serve.page import forecast
from tests.serve.browsing import Browsing
from tests.serve.serving import MODEL, key_file, serving, thinker


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with a measurement of the model that is served."""
    folder = tmp_path_factory.mktemp("measured")
    rng = Random(0)

    def write(request: Request, position: int) -> str:
        asked = request.prompt.messages[-1].content
        numbers = [int(n) for n in re.findall(r"-?\d+", asked.splitlines()[-1])]
        right = rng.random() < 0.6
        return f"Planted thought.\nAnswer: {sum(numbers) if right else rng.randrange(99)}"

    settings = Settings(ledger=str(folder / "ledger.sqlite"), reports=folder / "reports")
    engine = ScriptedEngine(write, model=MODEL)
    measure_tasks(
        "chain_sum",
        samples=32,
        problems=12,
        strategies=["vote"],
        engine=engine,
        settings=settings,
        run="m1",
    )
    return folder


def test_the_law_of_the_models_last_measurement_tells_what_more_effort_buys(measured: Path) -> None:
    with serving(measured, thinker()) as served:
        local = Browsing(served)
        answer = local.answer("What is 9 + 4?", "low")
        for _ in range(120):
            page = local.get(answer.url.path).text
            if "being fitted" not in page:
                break
            time.sleep(0.5)
    assert "By laws of run <bdi>m1</bdi>" in page
    assert "chain_sum" in page
    gains = re.findall(r'<td class="number">([+−±]\d+)<span class="interval">([+−±]\d+) to ([+−±]\d+)', page)
    assert len(gains) == 4  # medium, high, xhigh, max
    first, low, high = (int(each.replace("−", "-").replace("±", "")) for each in gains[0])
    assert low <= first <= high
    assert page.count("unmeasured") == 3
    assert "Right at low" in page
    helps = "probably helps on chain_sum" in page
    assert helps == (max(int(each[1].replace("−", "-").replace("±", "")) for each in gains) > 0)


def test_an_answer_does_not_wait_for_a_law_nor_does_the_servers_end(
    measured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = threading.Event()

    def never(*_: object, **__: object) -> None:
        fitted.wait(60)
        raise LawUndefined("samples: too few.")

    monkeypatch.setattr(forecast, "study_draws", never)
    try:
        with serving(measured, thinker()) as served:
            page = Browsing(served).answer("What is 9 + 4?", "low").text
            ending = time.monotonic()
        assert time.monotonic() - ending < 10
    finally:
        fitted.set()
    assert 'class="answer">13<' in page
    assert "being fitted" in page


def test_without_a_law_the_page_says_so(
    measured: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(run: str, ledger: str) -> tuple[Counts, ...]:
        raise LawUndefined("its file is gone")

    with serving(tmp_path, thinker()) as served:
        local = Browsing(served)
        assert "No measurement of this model" in local.answer().text
        direct = local.answer("What is 9 + 4?", "none").text
        assert "not reached by one" in direct
        assert "nothing was voted on" in direct
    with serving(measured, thinker()) as served:
        monkeypatch.setattr(forecast, "counts_of", lost)
        assert "cannot be read" in Browsing(served).answer().text


def test_a_law_that_is_named_is_read_once(measured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read, studied = list[str](), list[str]()

    def once(run: str, ledger: str) -> tuple[Counts, ...]:
        read.append(run)
        return counts_of(run, ledger)

    def study(counts: Counts, **_: object) -> None:
        studied.append(counts.task)
        raise LawUndefined("samples: too few.")

    for module in (opening, forecast):
        monkeypatch.setattr(module, "counts_of", once)
    monkeypatch.setattr(forecast, "study_draws", study)
    monkeypatch.setattr(forecast, "measured_run", lambda *_: pytest.fail("a law is named"))
    with serving(measured, thinker(), options=Options(law="m1")) as served:
        assert "bears no law of votes" in Browsing(served).answer("What is 9 + 4?", "low").text
    assert (read, studied) == (["m1"], ["chain_sum"])


def test_runs_are_listed_and_a_report_shows_traces_to_the_auditor_alone(measured: Path) -> None:
    path, keys = key_file(measured, alice="user", eve="auditor", olga="operator")
    with serving(measured, thinker(), keys=path) as served:
        reports = {name: Browsing(served, keys[name]).get("/runs/m1/report") for name in keys}
        listed = Browsing(served, keys["olga"]).get("/runs").text
        missing = Browsing(served, keys["eve"]).get("/runs/m2/report")
    assert {name: answer.status_code for name, answer in reports.items()} == {
        "alice": 403,
        "eve": 200,
        "olga": 200,
    }
    assert "Planted thought" in reports["eve"].text
    assert "Planted thought" not in reports["olga"].text
    assert "sandbox" in reports["eve"].headers["content-security-policy"]
    assert 'href="/runs/m1/report"' in listed
    assert "serve-" not in listed
    assert missing.status_code == 404
