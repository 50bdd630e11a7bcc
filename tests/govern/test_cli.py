"""`ponder govern` and `ponder data` as they are typed."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from ponder import govern
from ponder.cli import cli as group
from ponder.cli._app import run
from ponder.govern.calculator import Calculator
from ponder.report.govern_words import number, numbers
from tests.govern.cases import outcome as evaluated


@pytest.fixture
def known(sample: Calculator, monkeypatch: pytest.MonkeyPatch) -> Calculator:
    monkeypatch.setattr(govern, "_found", lambda: {"sample": sample})
    return sample


def test_flags_files_and_sets_reach_the_inputs(
    known: Calculator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("tokens: 1e15\nchips: 5\nactors: {one: {budget: 1 GUSD}}\n")
    words = ["govern", "sample", str(path), "--chips", "7", "--set", "actors.one.budget=3", "--chip", "Large"]
    assert run([*words, "--draws", "100", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    values = {each["name"]: each["value"] for each in told["assumptions"]}
    assert (values["tokens"], values["chips"], values["actors.one.budget"]) == (1e15, 7, 3)
    assert told["choices"]["chip"] == "large"
    assert told["draws"] == 100


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "tokens: 1e15\ntax: 600\n",
            "tax: 600 has no unit; write it after the number, one that converts to USD",
        ),
        ("tokens: 1e15\ntax: {value: 600}\n", "tax: it has no unit; give it as tax.unit"),
        ("actors: {one: {budget: 1e9}}\n", "actors.one.budget: 1e+09 has no unit"),
    ],
)
def test_a_file_tells_the_units_that_can_be_mistaken(
    known: Calculator, text: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(text)
    assert run(["govern", "sample", str(path)]) == 2
    assert says in capsys.readouterr().err


def test_an_interval_is_not_told_of_a_few_draws(
    known: Calculator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["govern", "sample", "--tokens", "1e15", "--draws", "99"]) == 2
    assert "100" in capsys.readouterr().err


def test_the_table_fits_a_terminal(known: Calculator, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["govern", "sample", "--tokens", "1e14..1e15"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    for word in ("Days that it takes", "90 % interval", "What moves it most", "Assumptions", "A data sheet"):
        assert word in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["sample"], "tokens: it must be given"),
        (["sample", "--tokens", "1e9..1e8"], "upside down"),
        (["sample", "--tokens", "1", "--chip", "smal"], "did you mean small"),
        (["sample", "none.yaml"], "none.yaml cannot be read"),
        (["sample", "detected.yaml"], "detector: sample takes none"),
        (["smple"], "No such command"),
        (["new", "smple"], "did you mean sample"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    known: Calculator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "detected.yaml").write_text("detector: defence.json\n")
    assert run(["govern", *words]) == 2
    err = capsys.readouterr().err
    assert says in err
    assert len(err.strip().splitlines()) == 1


def test_new_writes_a_scenario_once(
    known: Calculator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "s.yaml"
    assert run(["govern", "new", "sample", "--to", str(path)]) == 0
    assert "# chips: 1000..4000   # assumed" in path.read_text("utf-8")
    assert run(["govern", "new", "sample", "--to", str(path)]) == 2
    assert "already there" in capsys.readouterr().err


def test_the_data_are_complete(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "check"]) == 0
    assert "are complete" in capsys.readouterr().out
    folder.mkdir(parents=True)
    (folder / "chips.toml").write_text("[mine]\ntdp = { value = 7 }\n")
    assert run(["data", "check", "--json"]) == 2
    assert len(json.loads(capsys.readouterr().out)["defects"]) == 2


def test_the_data_are_listed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["data", "list", "chips", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["h100-sxm"]["tdp"]["value"] == 700
    assert run(["data", "list", "chip"]) == 2
    assert "did you mean chips" in capsys.readouterr().err


def test_every_calculator_has_a_verb_with_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert "govern" in group.list_commands(None)  # type: ignore[arg-type]
    for name in govern.names():
        assert run(["govern", name, "--help"]) == 0
        assert "--set" in capsys.readouterr().out, name


def test_a_detector_is_named_by_flag_or_by_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    law = {
        "name": "one",
        "detector": "a model",
        "attacker": "rules",
        "false_alarm": 0.05,
        "reach": [1e6, 1e8],
        "items": 100,
        "parameters": ["floor", "ceiling", "middle", "slope"],
        "value": [0.05, 0.9, 7.0, 3.0],
        "draws": [[0.05, 0.9, 7.0, 3.0]],
    }
    result, scenario = tmp_path / "defence.json", tmp_path / "s.yaml"
    result.write_text(json.dumps({"laws": [law]}))
    scenario.write_text(f"detector: {result}\n")
    told = []
    for words in (["--detector", str(result)], [str(scenario)]):
        assert run(["govern", "defend", *words, "--draws", "100", "--json"]) == 0
        outputs = json.loads(capsys.readouterr().out)["outputs"]
        told.append(next(each["median"] for each in outputs if each["name"] == "passes"))
    assert run(["govern", "defend", str(scenario), "--detector", ""]) == 2
    assert "detector: it is empty" in capsys.readouterr().err
    assert told[0] == told[1] == pytest.approx(1.0 - 0.05 - 0.85 / (1.0 + math.exp(-3.0)), abs=1e-4)


def told_of(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert run(["govern", *words]) == 0
    return capsys.readouterr().out


def test_the_first_line_says_of_what_the_figures_are(capsys: pytest.CaptureFixture[str]) -> None:
    first = told_of(capsys, "theft", "--model", "deepseek-v3").splitlines()[0]
    assert first == "theft: 10,000 draws, model deepseek-v3, chip h100-sxm"
    words = " ".join(told_of(capsys, "scale", "--chips", "100", "--effort", "low").split())
    assert "model llama-3.1-405b, precision bf16, effort low" in words


def test_what_moves_the_headline_is_told_without_what_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    def moved(text: str) -> tuple[str, list[str]]:
        title, _, rest = text.partition("What moves it most (")[2].partition("):")
        body = rest.partition("Assumptions:")[0].strip().splitlines()
        return " ".join(title.split()), [line.split()[0] for line in body[2:] if line.strip()]

    title, names = moved(told_of(capsys, "theft"))
    assert title.startswith("What is kept of the model's training compute")
    assert "scaffold" in names
    assert "days" not in names, "a choice without an interval moves nothing"
    assert "egress" not in names, "it moves the days out alone"
    text = told_of(capsys, "buffer")
    title, names = moved(text)
    assert title.startswith("The line at which half of the models do")
    assert "smallest" not in names
    middle = float(evaluated("buffer").middle["line"])
    assert f"With every input at its median it is {number(middle)} FLOP." in text


def test_other_outputs_in_the_headlines_unit_tell_what_moves_them(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(told_of(capsys, "diffuse").split())
    rest = text.partition("What moves the other outputs in year most:")[2].partition("Assumptions:")[0]
    assert "Years until small reaches the capability" in rest


def test_what_is_not_set_is_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    text = told_of(capsys, "theft")
    assert "Not set, and unknown: active, a, b, votes." in text
    assumed = text.partition("Assumptions:")[2].partition("Not set")[0]
    assert not any(line.split()[1:2] == ["unknown"] for line in assumed.splitlines())


def test_figures_beside_each_other_are_of_one_kind() -> None:
    assert numbers([95_461.0, 153_000.0, 1589.0]) == ["9.55e4", "1.53e5", "1,589"]
    assert numbers([95_461.0, 1589.0, None, "x"]) == ["95,461", "1,589", "unknown", "x"]
