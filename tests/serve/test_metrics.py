"""What Prometheus is told of a request."""

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ponder.core import Usage
from ponder.serve.failing import ApiError
from ponder.serve.metrics import Ended, Metrics

KNOWN = Usage(2, 3, 100, 40, 50, None, 1e12, 1.5, 0.25)
OWN = {"key": "alice", "effort": "high"}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("m", "ponder", lambda: 2.0)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def ended(**changes: Any) -> Ended:
    usual: dict[str, Any] = {**OWN, "usage": KNOWN, "hidden_tokens": 45, "seconds": 0.5}
    return Ended(**{**usual, **changes})


def test_what_is_known_is_added_up(metrics: Metrics) -> None:
    for _ in range(2):
        metrics.ended(ended(finishes=["stop", "length"], found=["flagged"], cuts=3))
    assert value(metrics, "vllm:prompt_tokens_total", model_name="m") == 200
    assert value(metrics, "vllm:prompt_tokens_cached_total", model_name="m") == 80
    assert value(metrics, "vllm:request_success_total", model_name="m", finished_reason="length") == 2
    assert value(metrics, "vllm:num_requests_running", model_name="m") == 2
    assert value(metrics, "ponder_flop_total", **OWN) == 2e12
    assert value(metrics, "ponder_usd_total", **OWN) == 0.5
    assert value(metrics, "ponder_reasoning_tokens_total", **OWN) == 90
    assert value(metrics, "ponder_redactions_total") == 6
    assert value(metrics, "ponder_monitored_replies_total", outcome="flagged") == 2
    assert value(metrics, "ponder_requests_of_unknown_use_total", unit="flop") is None


def test_what_is_unknown_is_counted_and_added_to_nothing(metrics: Metrics) -> None:
    metrics.ended(ended())
    metrics.ended(ended(usage=Usage(1, 1, None, None, None, None, None, 0.1, None), hidden_tokens=None))
    for unit in ("prompt_tokens", "completion_tokens", "flop", "usd", "reasoning_tokens"):
        assert value(metrics, "ponder_requests_of_unknown_use_total", unit=unit) == 1
    assert value(metrics, "ponder_flop_total", **OWN) == 1e12
    assert value(metrics, "vllm:prompt_tokens_total", model_name="m") == 100
    assert value(metrics, "ponder_requests_total", **OWN, outcome="finished") == 2


def test_a_failure_is_counted_by_its_class(metrics: Metrics) -> None:
    metrics.ended(ended(error="upstream_failed"))
    assert value(metrics, "ponder_requests_total", **OWN, outcome="upstream_failed") == 1
    about = {
        "gen_ai_operation_name": "chat",
        "gen_ai_provider_name": "ponder",
        "gen_ai_request_model": "ponder",
        "gen_ai_response_model": "m",
        "error_type": "upstream_failed",
    }
    assert value(metrics, "gen_ai_server_request_duration_seconds_count", **about) == 1


def test_refusals_are_counted_and_go_on(metrics: Metrics) -> None:
    with pytest.raises(ApiError), metrics.refusals():
        raise ApiError(429, "Wait.", code="busy")
    assert value(metrics, "ponder_requests_refused_total", code="busy") == 1


def test_names_come_as_dashboards_look_for_them(metrics: Metrics) -> None:
    metrics.ended(ended())
    text, kind = metrics.text()
    assert kind.startswith("text/plain; version=0.0.4")
    found = {
        sample.name for family in text_string_to_metric_families(text.decode()) for sample in family.samples
    }
    assert {"vllm:generation_tokens_total", "gen_ai_client_token_usage_sum", "ponder_flop_total"} <= found
