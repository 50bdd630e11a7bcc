"""What Prometheus reads: vLLM's names and those of OpenTelemetry's conventions where they have one.

vLLM: docs/design/metrics.md. OpenTelemetry: semantic conventions, docs/gen-ai/gen-ai-metrics.md, in the
spelling of its Prometheus exporter. Counters begin with the process; the ledger's report has all of the time
before. A use that is unknown is counted as such and added to nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from ponder.core import Usage
from ponder.serve.failing import ApiError

__all__ = ["Ended", "Metrics"]

# The boundaries that the conventions ask for.
_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS = tuple(4.0**power for power in range(14))
_OPERATION, _PROVIDER = "chat", "ponder"
_UNITS = ("prompt_tokens", "cached_tokens", "completion_tokens", "flop", "usd")


@dataclass(frozen=True, slots=True)
class Ended:
    """A request that ended. `key` is its name, "" without one; `error` a class of error, None where it was
    answered; `finishes` why each choice ended; `found` what a monitor made of each; `cuts` of its answers."""

    key: str
    effort: str | None
    usage: Usage
    hidden_tokens: int | None
    seconds: float
    error: str | None = None
    finishes: Sequence[str] = ()
    found: Sequence[str] = ()
    cuts: int = 0


class Metrics:
    """The counts of one server. `model` is the one behind it, `name` the one that is asked for."""

    def __init__(self, model: str, name: str, running: Callable[[], float]) -> None:
        self.registry = CollectorRegistry()
        self._model, self._name = model, name
        self._of_vllm(running)
        self._of_the_conventions()
        own = ("key", "effort")
        self._requests = self._counter("ponder_requests", "Requests that ended.", *own, "outcome")
        self._samples = self._counter("ponder_samples", "Finished samples drawn.", *own)
        self._flop = self._counter("ponder_flop", "FLOP of inference, as far as they are known.", *own)
        self._usd = self._counter("ponder_usd", "Dollars, as far as they are known.", *own)
        self._hidden = self._counter(
            "ponder_reasoning_tokens", "Generated tokens that were not shown, as far as they are known.", *own
        )
        self._unknown = self._counter(
            "ponder_requests_of_unknown_use", "Requests whose use in this unit is not known.", "unit"
        )
        self._refused = self._counter("ponder_requests_refused", "Requests that were not begun.", "code")
        self._alerts = self._counter("ponder_alerts", "Alerts raised.", "rule")
        self._found = self._counter(
            "ponder_monitored_replies", "Replies by what the monitor made of them.", "outcome"
        )
        self._cuts = self._counter("ponder_redactions", "Spans of thought cut from answers and summaries.")

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(name, what, labels, registry=self.registry)

    def _of_vllm(self, running: Callable[[], float]) -> None:
        label = ("model_name",)
        gauge = Gauge("vllm:num_requests_running", "Requests running now.", label, registry=self.registry)
        gauge.labels(self._model).set_function(running)
        self._prompt = self._counter("vllm:prompt_tokens", "Prompt tokens processed.", *label)
        self._cached = self._counter("vllm:prompt_tokens_cached", "Prompt tokens read from a cache.", *label)
        self._generated = self._counter("vllm:generation_tokens", "Tokens generated.", *label)
        self._success = self._counter(
            "vllm:request_success", "Choices answered, by why they ended.", *label, "finished_reason"
        )
        self._latency = Histogram(
            "vllm:e2e_request_latency_seconds",
            "Seconds from a request's start to its end.",
            label,
            registry=self.registry,
            buckets=_SECONDS,
        )

    def _of_the_conventions(self) -> None:
        about = (
            "gen_ai_operation_name",
            "gen_ai_provider_name",
            "gen_ai_request_model",
            "gen_ai_response_model",
        )
        self._duration = Histogram(
            "gen_ai_server_request_duration_seconds",
            "Seconds from a request's start to its end.",
            (*about, "error_type"),
            registry=self.registry,
            buckets=_SECONDS,
        )
        self._usage = Histogram(
            "gen_ai_client_token_usage",
            "Tokens that a request's client is charged for, hidden ones included.",
            (*about, "gen_ai_token_type"),
            registry=self.registry,
            buckets=_TOKENS,
        )

    def ended(self, request: Ended) -> None:
        """Count a request."""
        usage, about = request.usage, (_OPERATION, _PROVIDER, self._name, self._model)
        self._duration.labels(*about, request.error or "").observe(request.seconds)
        self._latency.labels(self._model).observe(request.seconds)
        for token, counter, count in (
            ("input", self._prompt, usage.prompt_tokens),
            ("output", self._generated, usage.completion_tokens),
        ):
            if count is not None:
                counter.labels(self._model).inc(count)
                self._usage.labels(*about, token).observe(count)
        self._add(self._cached, usage.cached_tokens, self._model)
        for finish in request.finishes:
            self._success.labels(self._model, finish).inc()
        own = (request.key, request.effort or "")
        self._requests.labels(*own, request.error or "finished").inc()
        self._samples.labels(*own).inc(usage.samples)
        self._add(self._flop, usage.flop, *own)
        self._add(self._usd, usage.usd, *own)
        self._add(self._hidden, request.hidden_tokens, *own)
        used = {unit: getattr(usage, unit) for unit in _UNITS} | {"reasoning_tokens": request.hidden_tokens}
        for unit, amount in used.items():
            if amount is None:
                self._unknown.labels(unit).inc()
        for outcome in request.found:
            self._found.labels(outcome).inc()
        self._cuts.inc(request.cuts)

    def _add(self, counter: Counter, amount: float | None, *labels: str) -> None:
        if amount is not None:
            counter.labels(*labels).inc(amount)

    def alerted(self, rule: str) -> None:
        """Count an alert."""
        self._alerts.labels(rule).inc()

    @contextlib.contextmanager
    def refusals(self) -> Iterator[None]:
        """Counts a refusal that is raised inside."""
        try:
            yield
        except ApiError as error:
            self._refused.labels(error.code or str(error.status)).inc()
            raise

    def text(self) -> tuple[bytes, str]:
        """All of it with its content type. It is always the plain form: in OpenMetrics the library
        writes vLLM's colons as underscores, and vLLM's dashboards find nothing."""
        return generate_latest(self.registry), CONTENT_TYPE_PLAIN_0_0_4
