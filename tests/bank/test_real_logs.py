"""Logs that Inspect and the LM Evaluation Harness wrote themselves, asking the embedded model.

`logs/make.py` says how; what it is compared with are the tools' own figures in the same files.
"""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest

from ponder.bank import Foreign, Gathered, Wanted, gather, load, store
from ponder.bank.files import Archive, Bounds
from ponder.config import Settings
from ponder.errors import BankFileError
from ponder.laws import Counts, fit
from ponder.laws.coverage import BetaBinomial
from ponder.ledger import Ledger

LOGS = Path(__file__).parent / "logs"
EVAL = LOGS / "inspect.eval"


def all_of(gathered: Gathered) -> list[Foreign]:
    (task,) = gathered.tasks
    return [each for drawn in task.problems.values() for each in drawn]


def test_inspects_log_gives_inspects_own_figures() -> None:
    pytest.importorskip("backports.zstd", reason="Python 3.14 has Zstandard of its own")
    (found,), notes = gather([EVAL])
    with EVAL.open("rb") as file:
        header = Archive(file, EVAL, Bounds()).read("header.json")
    (task,) = found.tasks
    assert (found.model, task.name, task.scores, notes) == (
        "openai-api/embedded/smollm2",
        "sums",
        ("match",),
        [],
    )
    assert [len(drawn) for drawn in task.problems.values()] == [4] * 8
    assert all([each.epoch for each in drawn] == [1, 2, 3, 4] for drawn in task.problems.values())
    count = task.counts
    accuracy = header["results"]["scores"][0]["metrics"]["accuracy"]["value"]
    assert count["samples"] == header["results"]["completed_samples"] == 32
    assert count["right"] / 32 == pytest.approx(accuracy)
    assert 0 < count["right"] < 32
    told = header["stats"]["model_usage"][found.model]
    assert sum(each.tokens.completion or 0 for each in all_of(found)) == told["output_tokens"]
    assert sum(each.tokens.prompt or 0 for each in all_of(found)) == told["input_tokens"]
    assert task.settings["temperature"] == 0.8
    # Replies without a number: the scorer read no answer in them.
    silent = [each for each in all_of(found) if each.choice is None]
    assert [each.correct for each in silent] == [False] * 4
    assert {each.finish for each in all_of(found)} == {"stop", "length"}


def test_the_log_as_json_is_the_same_log(tmp_path: Path) -> None:
    pytest.importorskip("backports.zstd", reason="Python 3.14 has Zstandard of its own")
    path = tmp_path / "inspect.json"
    path.write_bytes(lzma.decompress((LOGS / "inspect.json.xz").read_bytes()))
    (packed,), _ = gather([EVAL])
    (plain,), _ = gather([path])

    def seen(found: Gathered) -> list[object]:
        return [(e.asked, e.text, e.choice, e.correct, e.tokens, e.uid, e.started) for e in all_of(found)]

    assert seen(plain) == seen(packed)
    (both,), notes = gather([EVAL, path])
    assert both.tasks[0].counts["samples"] == 32
    assert notes == ["Samples that are in several logs, each counted once: 32."]


def test_the_log_becomes_a_run_with_flop(tmp_path: Path) -> None:
    pytest.importorskip("backports.zstd", reason="Python 3.14 has Zstandard of its own")
    (found,), _ = gather([EVAL], Wanted(model="smollm2"))
    with Ledger.open(tmp_path / "ledger.db", write=True) as ledger:
        stored = store(ledger, found, settings=Settings())
        usage = ledger.usage(stored.run)
        (bank,) = load(ledger, stored.run)
    assert stored.samples == usage.samples == 32
    assert usage.flop is not None
    # A model of 134.5 million parameters: two operations a parameter and token, and attention.
    assert usage.flop == pytest.approx(2 * 134.5e6 * (usage.tokens or 0), rel=0.3)
    assert sum(one.right for one in bank.problems) == found.tasks[0].counts["right"]


def test_a_law_is_fitted_to_the_log(tmp_path: Path) -> None:
    pytest.importorskip("backports.zstd", reason="Python 3.14 has Zstandard of its own")
    (found,), _ = gather([EVAL])
    with Ledger.open(tmp_path / "ledger.db", write=True) as ledger:
        (bank,) = load(ledger, store(ledger, found).run)
    counts = Counts.from_drawn(bank)
    law = fit(counts, BetaBinomial(), draws=50)
    one, many = law.predict([1, 16]).value
    # Beta-binomial by maximum likelihood keeps the mean of equally many draws a problem.
    assert one == pytest.approx(counts.right.sum() / counts.draws.sum(), abs=1e-3)
    assert one < many < 1


def test_lm_evals_files_of_two_seeds_give_its_own_figures() -> None:
    files = sorted((LOGS / "smollm2").glob("samples_sums_*.jsonl"))
    assert len(files) == 2
    with pytest.raises(
        BankFileError, match=r"several scores \(exact_match,.*-number, exact_match,.*-number\)"
    ):
        gather(files)
    rows = [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]
    for wanted in ("first-number", "last-number"):
        (found,), _ = gather(files, Wanted(score=wanted))
        own = [row["exact_match"] for row in rows if row["filter"] == wanted]
        (task,) = found.tasks
        assert (found.model, task.name, task.scores) == ("smollm2", "sums", (f"exact_match,{wanted}",))
        assert [len(drawn) for drawn in task.problems.values()] == [2] * 8
        assert (task.counts["samples"], task.counts["right"]) == (len(own), sum(own))
        choices = {each.choice for each in all_of(found)}
        read = {row["filtered_resps"][0] for row in rows if row["filter"] == wanted}
        assert "[invalid]" in read
        assert choices == {None, *read} - {"[invalid]"}
        assert task.settings["temperature"] == 0.8
