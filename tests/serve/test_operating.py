"""What an operator reads of a real server, and what nobody else does."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ponder.ledger import Ledger, verify
from ponder.serve.alerting import RUN
from ponder.serve.house import Options
from ponder.serve.keys import KeyFile
from tests.serve.serving import Serving, key_file, serving, thinker

QUESTION = "How heavy is the zebra?"
# As Prometheus asks.
SCRAPED = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"
PATHS = ("keys", "limits", "usage", "requests", "rules", "alerts", "report", "erasures")


class Operated:
    def __init__(self, served: Serving, keys: dict[str, str]) -> None:
        self.served, self.keys = served, keys

    def ask(self, name: str = "alice", **more: Any) -> Any:
        messages: Any = [{"role": "user", "content": QUESTION}]
        client = self.served.client(self.keys[name])
        return client.chat.completions.create(model="ponder", messages=messages, **more)

    def get(self, path: str, name: str | None = "olga", **query: Any) -> httpx2.Response:
        headers = {"accept": SCRAPED} | (
            {} if name is None else {"authorization": f"Bearer {self.keys[name]}"}
        )
        return httpx2.get(f"{self.served.address}{path}", headers=headers, params=query)

    def read(self, path: str, **query: Any) -> Any:
        answer = self.get(f"/v1/operator/{path}", **query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def metrics(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        answer = self.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain")
        return {
            (sample.name, tuple(sorted((k, v) for k, v in sample.labels.items() if v))): sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
        }


@pytest.fixture(scope="module")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    folder: Path = tmp_path_factory.mktemp("operated")
    path, keys = key_file(folder, alice="user 1Mtok/day", bob="user", eve="auditor", olga="operator")
    KeyFile(path).declare("alice", "voice=yes,end_users=20000")
    with serving(folder, thinker(), keys=path, options=Options(alerts=("5tok/day",))) as served:
        yield Operated(served, keys)


@pytest.mark.parametrize("path", [*(f"/v1/operator/{each}" for each in PATHS), "/metrics"])
def test_it_is_for_the_operator_alone(operated: Operated, path: str) -> None:
    assert operated.get(path).status_code == 200
    assert operated.get(path, None).status_code == 401
    for name in ("alice", "eve"):
        assert operated.get(path, name).status_code == 403


def test_nothing_that_was_said_or_that_is_secret_is_in_it(operated: Operated) -> None:
    operated.ask()
    for path in [*(f"/v1/operator/{each}" for each in PATHS), "/metrics"]:
        text = operated.get(path).text
        for word in (
            "zebra",
            "which makes 13",
            "argon2",
            *(key.split("-", 2)[2] for key in operated.keys.values()),
        ):
            assert word not in text, path


def test_keys_with_what_they_declare(operated: Operated) -> None:
    rows = {row["name"]: row for row in operated.read("keys")["data"]}
    assert set(rows) == set(operated.keys)
    assert "hash" not in rows["alice"]
    assert rows["alice"]["declared"] == {"voice": "yes", "end_users": 20000.0}
    assert rows["alice"]["limits"] == "1Mtok/day"


def test_limits_and_use_by_key(operated: Operated) -> None:
    told = operated.ask("bob")
    limits = operated.read("limits")
    assert limits["running"] == 0
    (alice,) = (key for key in limits["keys"] if key["name"] == "alice")
    assert alice["limits"][0]["limit"] == 1e6
    (bob,) = (row for row in operated.read("usage")["data"] if row["name"] == "bob")
    assert bob["spent"]["total"]["tokens"] >= told.usage.total_tokens
    assert bob["spent"]["total"]["flop"] > 0


def test_rules_say_what_was_measured_and_what_declared(operated: Operated) -> None:
    told = operated.read("rules")
    assert {"large-inference", "over 5 tokens/day"} <= {rule["rule"] for rule in told["rules"]}
    (alice,) = (row for row in told["keys"] if row["name"] == "alice")
    (scale,) = (v for v in alice["verdicts"] if v["rule"] == "people-at-scale")
    assert scale["holds"] is False  # voices, but little compute
    known = {factor["factor"]: factor["known"] for factor in scale["factors"]}
    assert known == {"voice": "declared", "images": "declared", "inference_compute": "measured"}


def test_an_alert_is_told_once(operated: Operated) -> None:
    for _ in range(2):
        operated.ask("bob")
    alerts = [each for each in operated.read("alerts")["data"] if each["name"] == "bob"]
    (alert,) = alerts
    assert alert["rule"] == "over 5 tokens/day"
    assert alert["factors"][0]["value"] > 5
    assert operated.metrics()["ponder_alerts_total", (("rule", "over 5 tokens/day"),)] >= 1
    assert operated.get("/v1/operator/alerts", limit="x").status_code == 400


def test_the_report_is_the_ledgers(operated: Operated) -> None:
    for effort in ("none", "low"):
        operated.ask("alice", reasoning_effort=effort)
    operated.ask("bob", extra_body={"ponder": {"strategy": "vote:n=3"}})
    told = operated.read("report")
    with Ledger.open(operated.served.ledger, write=False) as ledger:
        usages = [ledger.usage(row.id) for row in ledger.runs_between("serve-0", "serve-g", limit=10_000)]
    assert told["total"]["requests"] == len(usages)
    for unit in ("prompt_tokens", "completion_tokens"):
        assert told["total"][unit] == sum(getattr(usage, unit) for usage in usages)
        assert told["total"][unit] == sum(key[unit] for key in told["keys"])
    (alice,) = (key for key in told["keys"] if key["name"] == "alice")
    assert {"none", "low"} <= {row["effort"] for row in alice["efforts"]}
    assert None in {row["effort"] for row in told["efforts"]}
    assert sum(key["share"]["flop"] for key in told["keys"]) == pytest.approx(1)
    assert operated.read("report", since=time.time() + 60)["total"]["requests"] == 0
    assert operated.read("report", until="2020-01-01")["total"]["requests"] == 0
    assert operated.get("/v1/operator/report", since="yesterday").status_code == 400
    assert verify(operated.served.ledger).ok


def test_metrics_count_what_the_clients_were_told(operated: Operated) -> None:
    before = operated.metrics()
    told = [operated.ask("bob", reasoning_effort="none") for _ in range(2)]
    with pytest.raises(openai.BadRequestError):
        operated.ask("bob", reasoning_effort="nosuch")
    after = operated.metrics()

    def grown(name: str, **labels: str) -> float:
        place = name, tuple(sorted(labels.items()))
        return after[place] - before.get(place, 0.0)

    assert grown("vllm:generation_tokens_total", model_name="m") == sum(
        t.usage.completion_tokens for t in told
    )
    assert grown("vllm:prompt_tokens_total", model_name="m") == sum(t.usage.prompt_tokens for t in told)
    assert grown("vllm:request_success_total", model_name="m", finished_reason="stop") == 2
    assert grown("ponder_requests_total", key="bob", effort="none", outcome="finished") == 2
    assert grown("ponder_flop_total", key="bob", effort="none") == pytest.approx(
        sum(t.model_extra["ponder"]["flop"] for t in told if t.model_extra)
    )
    about = {
        "gen_ai_operation_name": "chat",
        "gen_ai_provider_name": "ponder",
        "gen_ai_request_model": "ponder",
        "gen_ai_response_model": "m",
    }
    assert grown("gen_ai_server_request_duration_seconds_count", **about) == 2
    assert grown("gen_ai_client_token_usage_count", **about, gen_ai_token_type="output") == 2
    assert after["vllm:num_requests_running", (("model_name", "m"),)] == 0


def test_what_is_in_flight_is_seen_and_refusals_are_counted(tmp_path: Path) -> None:
    path, keys = key_file(tmp_path, alice="user 1requests", olga="operator")
    with serving(tmp_path, thinker(seconds=30.0), keys=path) as served:
        operated = Operated(served, keys)
        with httpx2.Client() as client:
            body = {"model": "ponder", "stream": True, "messages": [{"role": "user", "content": QUESTION}]}
            headers = {"authorization": f"Bearer {keys['alice']}"}
            url = f"{served.address}/v1/chat/completions"
            with client.stream("POST", url, json=body, headers=headers) as stream:
                assert stream.status_code == 200
                (job,) = operated.read("requests")["data"]
                assert (job["key"], job["effort"], job["stream"]) == ("alice", "medium", True)
                assert job["progress"]["seconds"] >= 0
                assert operated.metrics()["vllm:num_requests_running", (("model_name", "m"),)] == 1
                with pytest.raises(openai.RateLimitError):
                    operated.ask()
        deadline = time.monotonic() + 10
        while operated.read("requests")["data"] and time.monotonic() < deadline:
            time.sleep(0.05)
        counted = operated.metrics()
        assert counted["ponder_requests_refused_total", (("code", "insufficient_quota"),)] == 1
        outcome = (("effort", "medium"), ("key", "alice"), ("outcome", "interrupted"))
        assert counted["ponder_requests_total", outcome] == 1
        assert operated.read("report")["total"]["interrupted"] == 1


def test_what_a_monitor_made_of_replies_is_counted(tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text("[rule.sum]\npattern = 'makes 13'\n")
    with serving(tmp_path, thinker(), options=Options(monitor=str(rules))) as served:
        served.client().chat.completions.create(
            model="ponder", messages=[{"role": "user", "content": QUESTION}], reasoning_effort="low"
        )
        text = httpx2.get(f"{served.address}/metrics").text
    assert 'ponder_monitored_replies_total{outcome="flagged"} 1.0' in text
    assert "makes 13" not in text


def test_alerts_survive_a_restart_of_the_server(tmp_path: Path) -> None:
    options = Options(alerts=("5tok",))
    for _ in range(2):
        with serving(tmp_path, thinker(), options=options) as served:
            served.client().chat.completions.create(
                model="ponder", messages=[{"role": "user", "content": QUESTION}], reasoning_effort="none"
            )
            told = httpx2.get(f"{served.address}/v1/operator/alerts").json()["data"]
            assert [alert["rule"] for alert in told] == ["over 5 tokens"]
    with Ledger.open(tmp_path / "ledger.sqlite", write=False) as ledger:
        assert sum(event.kind == "alerted" for event in ledger.events(RUN)) == 1


def test_without_keys_this_machine_reads_it_all(tmp_path: Path) -> None:
    with serving(tmp_path, thinker()) as served:
        served.client().chat.completions.create(
            model="ponder", messages=[{"role": "user", "content": QUESTION}]
        )
        for path in [*(f"/v1/operator/{each}" for each in PATHS), "/metrics"]:
            answer = httpx2.get(f"{served.address}{path}")
            assert answer.status_code == 200, path
            assert "zebra" not in answer.text
        elsewhere = {"origin": "http://evil.example"}
        assert httpx2.get(f"{served.address}/metrics", headers=elsewhere).status_code == 403
        (key,) = httpx2.get(f"{served.address}/v1/operator/report").json()["keys"]
        assert (key["id"], key["name"], key["share"]["flop"]) == (None, None, 1.0)
        json.dumps(key, allow_nan=False)
