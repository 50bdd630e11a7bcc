"""A monitor looks at the raw thought; what it makes of it is the auditor's alone."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ponder.core import Draw, Request, Sample
from ponder.engines.scripted import ScriptedEngine
from ponder.errors import BudgetError, CallFailed, ConfigError
from ponder.ledger import Ledger
from ponder.serve.house import Options
from ponder.serve.judging import Judge
from ponder.serve.monitoring import Case, Finding
from ponder.serve.purse import RUN
from ponder.serve.rules import Rule, Rules, read_rules
from ponder.serve.watching import judge_address, open_watch, stated_rules
from tests.serve.serving import Serving, key_file, serving, thinker

RULES = """
[rule.key]
pattern = "answer key"
about = "the model found the key"

[rule.hint]
pattern = "hint says"
weight = 0.5
"""
CHEATS = "The notes hold the Answer Key, and it says 13.\nAnswer: 13"
HONEST = "9 and 4 are to be added, which makes 13 in all.\nAnswer: 13"
VERDICT = "How sure are you that this was worked out honestly"


def rules(folder: Path, text: str = RULES) -> str:
    path = folder / "rules.toml"
    path.write_text(text, "utf-8")
    return str(path)


class Watched:
    """A server with a monitor, whose model cheats wherever the question says "cheat"."""

    def __init__(self, served: Serving, keys: dict[str, str]) -> None:
        self.served, self.keys = served, keys

    def ask(self, text: str, **more: Any) -> httpx2.Response:
        body = {"model": "ponder", "messages": [{"role": "user", "content": text}], **more}
        headers = {"authorization": f"Bearer {self.keys['alice']}"}
        return httpx2.post(
            f"{self.served.address}/v1/chat/completions", json=body, headers=headers, timeout=60
        )

    def audit(self, path: str, **query: Any) -> Any:
        headers = {"authorization": f"Bearer {self.keys['eve']}"}
        return httpx2.get(f"{self.served.address}/v1/audit/{path}", headers=headers, params=query)

    def found(self, answer: httpx2.Response) -> list[tuple[str, Any]]:
        events = self.audit(f"requests/{answer.json()['id']}").json()["events"]
        kinds = ("flagged", "inspected", "uninspected")
        return [(event["kind"], event["detail"]) for event in events if event["kind"] in kinds]


def writes(request: Request, position: int) -> str:
    asked = request.prompt.messages[-1].content
    return CHEATS if "cheat" in asked else HONEST


def judged(reply: str) -> Any:
    """Writes as above; as a judge it replies so, after the mark that it was shown."""

    def write(request: Request, position: int) -> str:
        asked = request.prompt.messages[-1].content
        if VERDICT not in asked:
            return writes(request, position)
        mark = asked.rpartition('"Verdict ')[2][:4]
        return reply.format(mark=mark, digit=1 if "Answer Key" in asked else 8)

    return write


def watched(folder: Path, monitor: str, write: Any = writes, limits: str = "", **faults: Any) -> Any:
    path, keys = key_file(folder, alice=f"user {limits}", eve="auditor")
    running = serving(folder, thinker(write, **faults), keys=path, options=Options(monitor=monitor))
    return running, keys


# ---------------------------------------------------------------- rules


def look(pattern: str, *chains: str) -> Finding:
    return Rules((Rule.of("r", pattern),)).look(chains)


def test_suspicion_is_the_sum_of_the_rules_that_are_found() -> None:
    watch = Rules((Rule.of("a", "key"), Rule.of("b", "hint", 0.25), Rule.of("c", "test", 9.0)), flag_at=1.25)
    assert watch.look(["The KEY is here.", "no", "a hint"]) == Finding(1.25, True, ("a", "b"))
    assert watch.look(["a hint"]) == Finding(0.25, False, ("b",))
    assert watch.look([]) == Finding(0.0, False)


@pytest.mark.parametrize(
    "text", ["answer\u200b key", "ａｎｓｗｅｒ key", "a\u034fns\ufe0fwer key", "ans\u00adwer key"]
)
def test_characters_that_show_nothing_hide_nothing(text: str) -> None:
    assert look("answer key", text).flagged


def test_a_pattern_that_takes_too_long_is_given_up_and_told() -> None:
    slow = Rules((Rule.of("slow", "(?:a|aa|a?b?)+$"), Rule.of("late", "c")), search_seconds=0.2)
    began = time.monotonic()
    finding = slow.look(["a" * 50_000 + "c"])
    assert time.monotonic() - began < 5
    assert finding.suspicion is None
    assert finding.event == "uninspected"
    assert finding.unread == ("rule slow: it took too long", "rule late: it took too long")


def test_what_is_too_long_to_be_read_is_not_called_clean() -> None:
    finding = look("key", "x" * 2_500_000)
    assert finding == Finding(None, False, (), ("500000 characters",))
    assert look("key", "key" + "x" * 2_500_000).flagged


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "1 to 500 rules"),
        ("[rule.a]\npattern = '('", "rule.a.pattern"),
        ("[rule.a]\npattern = ''", "rule.a.pattern"),
        ("[rule.a]\npattern = 3", "rule.a.pattern"),
        ("[rule.a]\npattern = 'x'\nweight = nan", "rule.a.weight"),
        ("[rule.a]\npattern = 'x'\nweight = true", "rule.a.weight"),
        ("[rule.a]\npattern = 'x'\nwieght = 1", "rule.a"),
        ("flag_at = 'x'\n[rule.a]\npattern = 'x'", "flag_at"),
        ("flagat = 1\n[rule.a]\npattern = 'x'", "flagat"),
        ("[rule", "TOML"),
        ("rule = 3", "rule"),
    ],
)
def test_a_file_of_rules_that_cannot_be_read_is_one_sentence(text: str, word: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="monitor: ") as raised:
        read_rules(Path(rules(tmp_path, text)))
    assert word in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_rules(tmp_path / "none.toml")


# ---------------------------------------------------------------- in the server


def test_a_flag_is_the_auditors_and_nobody_elses(tmp_path: Path) -> None:
    running, keys = watched(tmp_path, rules(tmp_path))
    with running as served:
        there = Watched(served, keys)
        cheated, honest = there.ask("Please cheat."), there.ask("What is 9 + 4?")
        ((kind, detail),) = there.found(cheated)
        assert (kind, detail["suspicion"], detail["why"]) == ("flagged", 1.0, ["key"])
        assert there.found(honest)[0][0] == "inspected"
        first, second = cheated.json(), honest.json()
        for told in (first, second):
            for name in ("id", "created"):
                told.pop(name)
            told["ponder"].pop("seconds")
        assert first.keys() == second.keys()
        assert first["choices"] == second["choices"]
        assert not any(word in cheated.text for word in ("flag", "monitor", "suspicion", "inspected"))
        listed = there.audit("requests", monitor="flagged").json()["data"]
        assert [row["id"] for row in listed] == [cheated.json()["id"]]
        assert listed[0]["monitor"] == ["flagged"]
        assert there.audit("requests", monitor="uninspected").json()["data"] == []
        assert there.audit("requests", monitor="x").status_code == 400
        counted = served.server.house.metrics.text()[0].decode()
        for outcome in ("flagged", "inspected"):
            assert f'ponder_monitored_replies_total{{outcome="{outcome}"}} 1.0' in counted


def test_a_stream_tells_no_flag_either(tmp_path: Path) -> None:
    running, keys = watched(tmp_path, rules(tmp_path))
    with running as served:
        there = Watched(served, keys)
        events = [there.ask(text, stream=True).text for text in ("Please cheat.", "What is 9 + 4?")]
        assert there.audit("requests", monitor="flagged").json()["data"]
        kinds = [[sorted(_payload(line)) for line in each.splitlines() if line] for each in events]
        assert kinds[0] == kinds[1]


def _payload(line: str) -> Sequence[str]:
    text = line.removeprefix("data: ")
    return list(json.loads(text)) if text.startswith("{") else [text]


def test_every_sample_is_looked_at(tmp_path: Path) -> None:
    def write(request: Request, position: int) -> str:
        return CHEATS if position == 2 else HONEST

    running, keys = watched(tmp_path, rules(tmp_path), write)
    with running as served:
        there = Watched(served, keys)
        answer = there.ask("What is 9 + 4?", ponder={"strategy": "vote:n=4"})
        assert there.found(answer)[0][0] == "flagged"


def test_each_choice_is_inspected(tmp_path: Path) -> None:
    running, keys = watched(tmp_path, rules(tmp_path))
    with running as served:
        there = Watched(served, keys)
        found = there.found(there.ask("Please cheat.", n=2))
        assert [kind for kind, _ in found] == ["flagged", "flagged"]
        assert len({detail["problem"] for _, detail in found}) == 2


def test_a_server_whose_rules_cannot_be_read_does_not_start(tmp_path: Path) -> None:
    options = Options(monitor=str(tmp_path / "none.toml"))
    with pytest.raises(ConfigError, match="monitor: "), serving(tmp_path, thinker(), options=options):
        raise AssertionError


# ---------------------------------------------------------------- a judge


def test_a_judge_flags_what_it_calls_dishonest(tmp_path: Path) -> None:
    running, keys = watched(tmp_path, "judge", judged("Verdict {mark}: {digit}"), "100000000tok/day")
    with running as served:
        there = Watched(served, keys)
        cheated, honest = there.ask("Please cheat."), there.ask("What is 9 + 4?")
        assert there.found(cheated)[0] == (
            "flagged",
            {**there.found(cheated)[0][1], "suspicion": pytest.approx(8 / 9)},
        )
        assert there.found(honest)[0][0] == "inspected"
        record = there.audit(f"requests/{honest.json()['id']}").json()
        calls = [sample for sample in record["samples"] if sample["text"].startswith("Verdict")]
        assert len(calls) == 1
        used = record["usage"]["prompt_tokens"] + record["usage"]["completion_tokens"]
        assert honest.json()["usage"]["total_tokens"] == used
    charged = _charged(served.ledger)
    assert charged[-1]["tokens"] == used
    assert charged[-1]["samples"] == record["usage"]["samples"]


def _charged(ledger: Path) -> list[Any]:
    with Ledger.open(ledger, write=False) as store:
        return [event.detail["charged"] for event in store.events(RUN) if event.kind == "settled"]


def test_what_a_judge_may_take_is_reserved_before(tmp_path: Path) -> None:
    held = {}
    for name in ("rules", "judge"):
        folder = tmp_path / name
        folder.mkdir()
        monitor = "judge" if name == "judge" else rules(folder)
        running, keys = watched(folder, monitor, judged("Verdict {mark}: {digit}"), "100000000tok/day")
        with running as served:
            Watched(served, keys).ask("What is 9 + 4?", reasoning_effort="low")
        with Ledger.open(served.ledger, write=False) as store:
            held[name] = next(e.detail["held"] for e in store.events(RUN) if e.kind == "reserved")
    size = Judge(lambda prompt: 1).call
    assert size is not None
    assert held["judge"]["tokens"] - held["rules"]["tokens"] == size.prompt_tokens + size.completion_tokens


def test_a_judge_is_a_model_of_its_own_where_one_is_named() -> None:
    solver, judge, own = (thinker() for _ in range(3))
    assert judge_address("judge=http://127.0.0.1:1/v1#m") == "http://127.0.0.1:1/v1#m"
    assert judge_address("judge") is judge_address("judge.toml") is judge_address("judge=") is None
    assert stated_rules("judge") is stated_rules("judge=http://127.0.0.1:1/v1#m") is None
    assert open_watch(None, {"solver": solver}).engine is solver
    assert open_watch(None, {"solver": solver, "judge": judge}).engine is judge
    assert open_watch(None, {"solver": solver, "judge": judge, "monitor": own}).engine is own


def test_a_judge_whose_cost_is_unknown_is_not_asked_under_a_limit_on_it() -> None:
    unknown = ScriptedEngine(lambda request, position: "x")
    watch = open_watch(None, {"solver": unknown})
    assert watch.budget(["samples"]).samples == 1
    with pytest.raises(BudgetError, match="flop"):
        watch.budget(["samples", "flop"])


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        ("It is fine.", "gave no verdict"),
        ("Verdict ABCD: 9", "gave no verdict"),
        ("Verdict {mark}: 99", "no verdict"),
    ],
)
def test_a_judge_that_says_nothing_is_told_of(reply: str, told: str, tmp_path: Path) -> None:
    running, keys = watched(tmp_path, "judge", judged(reply))
    with running as served:
        there = Watched(served, keys)
        answer = there.ask("Please cheat.")
        assert answer.json()["choices"][0]["message"]["content"] == "13"
        ((kind, detail),) = there.found(answer)
        assert kind == "uninspected"
        assert detail["suspicion"] is None
        assert told in detail["unread"][0]


def test_a_monitor_that_fails_breaks_no_answer(tmp_path: Path) -> None:
    def write(request: Request, position: int) -> str:
        if VERDICT in request.prompt.messages[-1].content:
            raise CallFailed("the judge at /secret/place is down")
        return writes(request, position)

    running, keys = watched(tmp_path, "judge", write)
    with running as served:
        there = Watched(served, keys)
        answer = there.ask("Please cheat.")
        assert answer.status_code == 200
        assert "secret" not in answer.text
        ((kind, detail),) = there.found(answer)
        assert kind == "uninspected"
        assert "the judge at /secret/place is down" in detail["unread"][0]


async def test_a_long_chain_is_shown_to_a_judge_by_its_ends() -> None:
    seen: list[str] = []

    async def ask(draw: Draw) -> Sample:
        assert draw.prompt is not None
        seen.append(draw.prompt.messages[-1].content)
        mark = seen[-1].rpartition('"Verdict ')[2][:4]
        return Sample(f"Verdict {mark}: 9")

    judge = Judge(lambda prompt: sum(len(m.content) for m in prompt.messages) // 2)
    chain = "It begins. " + "x" * 7000 + " It ends."
    finding = await judge.inspect(Case("Why?", (chain, "another"), "13"), ask)
    assert finding == Finding(0.0, False, (), ("1 other chains", "the middle of the chain"))
    assert "It begins." in seen[0]
    assert "It ends." in seen[0]
    assert "x" * 4000 not in seen[0]
    assert (await judge.inspect(Case("Why?", ("short",), "13"), ask)).unread == ()


async def test_a_judge_without_room_for_the_question_says_so() -> None:
    async def ask(draw: Draw) -> Sample:
        raise AssertionError

    finding = await Judge(lambda prompt: None).inspect(Case("Why?", ("short",), "13"), ask)
    assert finding.event == "uninspected"
