"""The command line as a user meets it: real processes where it matters, in-process for the rest."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ponder._version import __version__
from ponder.cli import cli
from ponder.cli._app import run
from ponder.cli.ask import _no_answer
from ponder.cli.measure import _lines
from ponder.cli.report import _folder_name
from ponder.config import load
from ponder.core import Sample
from ponder.errors import ConfigError
from ponder.ledger import Ledger
from ponder.measure import Progress
from ponder.measure.spec import check_run_name

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ponder(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run one command line in an empty folder; (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PONDER_LEDGER", str(tmp_path / "ledger.sqlite"))
    monkeypatch.delenv("PONDER_CONFIG", raising=False)

    def go(*arguments: str) -> tuple[int, str, str]:
        code = run(arguments)
        told = capsys.readouterr()
        return code, told.out, told.err

    return go


def verbs() -> list[str]:
    import click

    return cli.list_commands(click.Context(cli))


SCENARIOS = ["govern", "new"]  # writes YAML with comments, to be read and changed by people


def leaves(path: list[str], command: Any) -> Iterator[list[str]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path
    for name, each in (inner or {}).items():
        yield from leaves([*path, name], each)


@pytest.mark.parametrize("verb", verbs())
def test_every_verb_has_help_and_json(ponder: Run, verb: str) -> None:
    assert ponder(verb, "--help")[0] == 0
    command = cli.get_command(None, verb)  # type: ignore[arg-type]
    for path in leaves([verb], command):
        code, out, _ = ponder(*path, "--help")
        assert code == 0
        assert ("--json" in out) == (path != SCENARIOS)


def test_version(ponder: Run) -> None:
    assert ponder("--version") == (0, f"ponder {__version__}\n", "")


@pytest.mark.parametrize(
    "path", [["tasks", "list"], ["models", "list"], ["strategies"], ["config"], ["doctor"]]
)
def test_lists_are_json(ponder: Run, path: list[str], weights: Path) -> None:
    code, out, err = ponder(*path, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)


def one_sentence(err: str) -> str:
    (line,) = err.strip().splitlines()
    assert line.startswith("ponder: ")
    assert "Traceback" not in line
    return line


BAD: list[tuple[list[str], str]] = [
    (["measure", "--task", "chain_sm"], "chain_sum"),
    (["measure", "--task", "countdown", "--strategy", "votes"], "vote"),
    (["measure", "--task", "countdown", "--model", "smolm2"], "smollm2"),
    (["measure", "--task", "countdown", "--samples", "0"], "samples"),
    (["measure", "--task", "countdown", "--problems", "0"], "problems"),
    (["measure", "--task", "countdown", "--temperature", "-1"], "temperature"),
    (["measure", "--task", "countdown", "--top-p", "0"], "top"),
    (["measure", "--task", "countdown", "--stop", "x"], "--prompt"),
    (["measure", "--task", "nothing.jsonl"], "nothing.jsonl"),
    (["measure"], "--task"),
    (["measure", "--task", "countdown", "--task", "countdown"], "twice"),
    (["measure", "--task", "countdown", "--model", "none.gguf"], "none.gguf"),
    (["measure", "--task", "countdown", "--model", "http://127.0.0.1:9/v1#m"], "127.0.0.1:9"),
    (["ask", "x", "--budget", "-1tok"], "budget"),
    (["ask", "x", "--budget", "5parsecs"], "parsecs"),
    (["ask", "x", "--strategy", "vote:n=0"], "vote:n"),
    (["ask", "  "], "question"),
    (["report", "nothing"], "ledger"),
    (["runs"], "ledger"),
    (["runs", "--ledger", "~nobody-here/x"], "~nobody-here"),
    (["ledger", "verify"], "ledger"),
    (["tasks", "show", "chain_sm"], "chain_sum"),
    (["models", "show", "smolm2"], "smollm2"),
    (["models", "pull", "smolm2"], "smollm2"),
    (["measure", "--task", "countdown", "--run", "../evil"], "../evil"),
    (["measure", "--task", "countdown", "--strategy", "vote:n=64", "--samples", "8"], "64 samples"),
    (["measure", "--task", "countdown", "--strategy", "vote", "--strategy", "vote:n=2"], "only in n"),
    (["runs", "--ledger", "a" * 300], "too long"),
    (["models", "show", "a" * 5000], "aaa"),
    (["nonsense"], "nonsense"),
    (["measure", "--nonsense"], "--nonsense"),
]


@pytest.mark.parametrize(("arguments", "named"), BAD, ids=[" ".join(a) for a, _ in BAD])
def test_bad_input_is_one_sentence_and_exit_code_2(ponder: Run, arguments: list[str], named: str) -> None:
    code, out, err = ponder(*arguments)
    assert code == 2
    assert out == ""
    assert named in one_sentence(err)


def test_an_error_is_json_too_where_json_is_asked_for(ponder: Run) -> None:
    code, out, err = ponder("measure", "--task", "chain_sm", "--json")
    assert code == 2
    error = json.loads(out)["error"]
    assert error["kind"] == "UnknownName"
    assert error["message"] in one_sentence(err)


@pytest.mark.parametrize(
    "arguments",
    [
        ["measure", "--nonsense", "--json"],
        ["nonsense", "--json"],
        ["runs", "--json", "--ledger", "a" * 300],
    ],
)
def test_every_refusal_is_json_too(ponder: Run, arguments: list[str]) -> None:
    code, out, err = ponder(*arguments)
    assert code == 2
    assert json.loads(out)["error"]["message"] in one_sentence(err)


def test_what_follows_two_dashes_is_no_option(ponder: Run) -> None:
    code, out, err = ponder("measure", "--nonsense", "--", "--json")
    assert (code, out) == (2, "")
    assert "--nonsense" in one_sentence(err)


def test_a_report_folder_is_tried_before_anything_is_sampled(
    ponder: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ponder import api

    monkeypatch.setattr(api, "measure_spec", lambda *_, **__: pytest.fail("it began to measure"))
    Path("taken").write_text("a file", "utf-8")
    code, _, err = ponder("measure", "--task", "countdown", "--problems", "1", "--to", "taken/below")
    assert code == 2
    assert "taken/below" in one_sentence(err)


def test_markup_and_steering_marks_in_data_are_shown_as_text(
    ponder: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PONDER_MODEL", "[/x] :smile: \x1b[31m\u202e")
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = ponder("config")
    assert code == 0
    assert "[/x] :smile: \ufffd[31m\ufffd" in out


def test_doctor_looks_where_the_ledger_is_and_for_every_part_of_the_report(
    ponder: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def checks() -> dict[str, Any]:
        return {check["what"]: check for check in json.loads(ponder("doctor", "--json")[1])}

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PONDER_LEDGER", "~/mine.sqlite")
    assert checks()["ledger"]["found"].startswith("none yet")
    Ledger.open("~/mine.sqlite", write=True).close()
    assert checks()["ledger"]["found"] == "~/mine.sqlite, 0 runs"
    assert checks()["jinja2"]["ok"]
    monkeypatch.setenv("PONDER_LEDGER", "a" * 300)
    assert not checks()["ledger"]["ok"]


def test_a_run_of_another_kind_is_no_latest_measurement(ponder: Run, tmp_path: Path) -> None:
    with Ledger.open(tmp_path / "ledger.sqlite", write=True) as ledger:
        ledger.run("mine", {"kind": "ask"}, [], {}).event("finished")
    code, _, err = ponder("report", "latest")
    assert code == 2
    assert "ponder measure" in one_sentence(err)


@pytest.mark.parametrize("run", ["../evil", "..", "a/b", "/etc", "\u202e", "x" * 200])
def test_a_run_made_elsewhere_gets_a_folder_below_the_reports(run: str) -> None:
    name = _folder_name(run)
    assert check_run_name(name) == name
    assert name != _folder_name(run + "x")


@pytest.mark.parametrize(
    ("choices", "said"),
    [((), "nothing was sampled"), ((None, None), "could be read"), ((None, "4"), "abstained")],
)
def test_no_answer_says_why(choices: tuple[str | None, ...], said: str) -> None:
    assert said in _no_answer([Sample("text", choice=choice) for choice in choices])


@pytest.mark.parametrize(("verb", "said"), [("ask", "begins anew"), ("measure", "again to continue")])
def test_an_interrupt_says_what_is_kept(
    ponder: Run, monkeypatch: pytest.MonkeyPatch, verb: str, said: str
) -> None:
    monkeypatch.setattr(cli, "main", lambda **_: (_ for _ in ()).throw(KeyboardInterrupt))
    code, _, err = ponder(verb)
    assert code == 130
    assert said in one_sentence(err)


def test_a_speed_that_is_unknown_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    watch = _lines()
    watch(Progress(1, 10, None, 2.0))  # type: ignore[arg-type]
    watch(Progress(5, 10, 600, 2.0))
    assert capsys.readouterr().err == "ponder: 1 of 10 samples.\nponder: 5 of 10 samples, 300 tokens/s.\n"


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ('{"question": "a", "answer": "1"}\n{"question": ', "line 2"),
        ('{"question": "a", "answer": "1", "id": "x"}\n{"question": "b", "answer": "1", "id": "x"}', "line"),
        ("", "no problem"),
        ('{"question": "a"}', "answer"),
    ],
)
def test_a_broken_problem_file_names_the_line(ponder: Run, content: str, named: str) -> None:
    Path("mine.jsonl").write_text(content, "utf-8")
    code, _, err = ponder("measure", "--task", "mine.jsonl")
    assert code == 2
    assert named in one_sentence(err)


def test_missing_weights_name_the_pull_command(ponder: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PONDER_CACHE", "elsewhere")
    code, _, err = ponder("ask", "x")
    assert code == 2
    assert "ponder models pull smollm2" in one_sentence(err)


def test_the_environment_and_the_file_are_checked(ponder: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PONDER_SAMPLES", "many")
    assert "PONDER_SAMPLES" in one_sentence(ponder("config")[2])
    monkeypatch.delenv("PONDER_SAMPLES")
    Path("ponder.toml").write_text("sampels = 3\n", "utf-8")
    assert "sampels" in one_sentence(ponder("config")[2])
    Path("ponder.toml").write_text("samples = ", "utf-8")
    assert "ponder.toml" in one_sentence(ponder("config")[2])
    monkeypatch.setenv("PONDER_CONFIG", "gone.toml")
    assert "gone.toml" in one_sentence(ponder("config")[2])


def test_flags_win_over_the_environment_and_that_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ponder.toml").write_text('samples = 3\nproblems = 4\nmodel = "a"\n', "utf-8")
    monkeypatch.setenv("PONDER_SAMPLES", "5")
    settings = load({"model": "b", "samples": None})
    assert (settings.samples, settings.problems, settings.model) == (5, 4, "b")
    with pytest.raises(ConfigError, match="--samples"):
        load({"samples": 0})


def test_a_key_is_never_shown(ponder: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PONDER_API_KEY", "sk-secret")
    for arguments in (["config"], ["config", "--json"]):
        assert "sk-secret" not in "".join(map(str, ponder(*arguments)))


def test_a_row_of_the_users_models_is_checked(ponder: Run) -> None:
    Path("ponder.toml").write_text("[models.mine]\nshape = { layer = 3 }\n", "utf-8")
    assert "mine" in one_sentence(ponder("models", "show", "mine")[2])


def test_a_model_is_shown_with_its_sources(ponder: Run) -> None:
    code, out, _ = ponder("models", "show", "smollm2", "--json")
    shown = json.loads(out)
    assert code == 0
    assert shown["training_flop"]["value"] == pytest.approx(6 * 134515008 * 2e12)
    assert shown["training_flop"]["low"] < shown["training_flop"]["value"] < shown["training_flop"]["high"]
    assert "arXiv" in shown["training_flop"]["source"]
    assert shown["shape"]["kv_heads"] == 3


def child(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ponder", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **options)


def test_a_question_from_standard_input_is_answered_and_accounted_for(tmp_path: Path, weights: Path) -> None:
    environment = os.environ | {"PONDER_LEDGER": str(tmp_path / "l.sqlite")}
    done = child(
        "ask",
        "-",
        "--budget",
        "1500tok",
        "--samples",
        "4",
        "--json",
        input="What is 2 + 3?\n",
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["usage"]["prompt_tokens"] + said["usage"]["completion_tokens"] <= 1500
    assert said["usage"]["flop"] > 1e9
    listed = json.loads(child("runs", "--json", env=environment).stdout)
    assert [(run["finished"], run["samples"]) for run in listed] == [(True, said["samples"])]
    whole = json.loads(child("ledger", "verify", "--json", env=environment).stdout)
    assert whole["ok"]


def test_a_measurement_of_the_users_own_file(tmp_path: Path, weights: Path) -> None:
    """Measure, report again, checkpoint, tamper, verify: one user's afternoon."""
    environment = os.environ | {"PONDER_LEDGER": str(tmp_path / "l.sqlite")}
    options: dict[str, Any] = {"env": environment, "cwd": tmp_path}
    problems = [{"question": f"What is {i} + 1?", "answer": i + 1} for i in range(3)]
    text = "\n".join(json.dumps(problem) for problem in problems)
    (tmp_path / "few.txt").write_text("Problem: 1 + 1\nAnswer: 2\n\nProblem: {question}\nAnswer:", "utf-8")
    arguments = ["measure", "--task", "-", "--samples", "4", "--strategy", "vote", "--prompt", "few.txt"]
    arguments += ["--stop", "\\n\\n", "--max-tokens", "12"]
    bound = child(*arguments, "--dry-run", "--json", input=text, **options)
    assert bound.returncode == 0, bound.stderr
    worst = json.loads(bound.stdout)
    assert worst["usd"] is None
    assert worst["seconds"] is None
    done = child(*arguments, input=text, **options)
    assert done.returncode == 0, done.stderr
    assert "4 samples, vote answers" in done.stdout
    (html,) = tmp_path.glob("ponder-reports/*/report.html")
    run_name = html.parent.name
    assert f"report: ponder-reports/{run_name}/report.html" in done.stdout
    html.unlink()
    again = child("report", "latest", "--json", **options)
    assert json.loads(again.stdout)["run"] == run_name
    assert html.exists()
    result = json.loads(child(*arguments, "--no-report", "--json", input=text, **options).stdout)
    assert result["usage"]["samples"] == 12
    assert result["new_usage"]["samples"] == 0
    assert worst["generated_tokens"] >= result["usage"]["completion_tokens"]
    assert worst["flop"] >= result["usage"]["flop"]
    assert child("ledger", "checkpoint", "--to", "point.json", **options).returncode == 0
    assert child("ledger", "verify", "--checkpoint", "point.json", **options).returncode == 0
    changed = child(*arguments, "--run", run_name, "--seed", "9", input=text, **options)
    assert changed.returncode == 2
    assert "seed: 1 → 9" in one_sentence(changed.stderr)
    import sqlite3

    connection = sqlite3.connect(tmp_path / "l.sqlite")
    connection.execute("UPDATE samples SET choice = '2' WHERE seq = (SELECT min(seq) FROM samples)")
    connection.commit()
    connection.close()
    tampered = child("ledger", "verify", **options)
    assert tampered.returncode == 2
    assert "samples" in tampered.stderr


@pytest.mark.parametrize(
    "arguments", [["strategies", "--json"], ["strategies"], ["--help"], ["ask", "--help"]]
)
def test_a_closed_pipe_ends_quietly(arguments: list[str]) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "ponder", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    error = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(60) == 141
    assert error == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize("arguments", [["strategies", "--json"], ["strategies"], ["--help"]])
def test_a_full_disk_behind_standard_output_is_one_sentence(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "ponder", *arguments],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 2
    assert "space" in one_sentence(done.stderr)


def test_a_narrow_encoding_shows_what_it_can() -> None:
    done = child("strategies", env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert "?4" in done.stdout  # for "§4"


def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        path = Path("/proc/nowhere/ledger.sqlite")
    else:
        folder = tmp_path / "locked"
        folder.mkdir()
        folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
        path = folder / "ledger.sqlite"
    done = child("measure", "--task", "countdown", "--ledger", str(path))
    assert done.returncode == 2
    assert str(path.parent) in one_sentence(done.stderr)
