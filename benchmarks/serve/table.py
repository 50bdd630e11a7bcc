"""The figures as the section of benchmarks/README.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["write_table"]

README = Path(__file__).parents[1] / "README.md"
_BEGIN, _END = "<!-- serve: begin -->", "<!-- serve: end -->"

Results = Mapping[str, Any]


def write_table(results: Results) -> None:
    """Put the section between its marks."""
    text = README.read_text("utf-8")
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    README.write_text("\n".join([before + _BEGIN, *section(results), _END + after]), "utf-8")


def section(results: Results) -> Iterator[str]:
    yield "| what | how much | found |"
    yield "|---|---|---|"
    for part, rows in _ROWS.items():
        if part in results:
            yield from rows(results[part])
    yield ""
    yield "Measured: " + "; ".join(f"{part} {_when(found)}" for part, found in results.items()) + "."


def _when(found: Results) -> str:
    how = found["measured"]
    load = how["load_before"][0]
    return (
        f"{how['at']}, {how['seconds']:,.0f} s, load {load:g} on {how['cores']} cores, beside {how['beside']}"
    )


def _leak(found: Results) -> Iterator[str]:
    spans = found["thoughts_with_a_span_over_40_characters_received"]
    live = found["answers_streamed_while_they_were_written"]
    asked = f"{found['requests']:,} requests, {live:,} of them live"
    how_much = f"{found['thoughts']:,} thoughts with a planted mark, {asked}"
    received = f"{found['marks_received']} marks and {spans} spans over 40 characters received"
    yield f"| leak | {how_much} | {received}; {found['spans_cut']:,} cut |"


def _overspend(found: Results) -> Iterator[str]:
    bursts, killed = found["at_once"], found["killed"]
    over = sum(each["overspent"] for each in bursts)
    most = max(each["charged"] / each["limit"] for each in bursts)
    counts = [each["answered"] for each in bursts]
    how_much = f"{len(bursts)} × 64 requests at once on a budget for {min(counts)} to {max(counts)}"
    yield f"| overspend | {how_much} | {over} overspent; at most {most:.0%} of the budget charged |"
    open_, requests = killed["in_flight_at_a_kill"], killed["requests"]
    how_much = f"{killed['kills']} SIGKILLs, {open_:,} of {requests:,} requests in flight"
    yield f"| kill | {how_much} | {killed['settled_twice']} charged twice, {killed['never_settled']} never |"


def _tamper(found: Results) -> Iterator[str]:
    for what, counts in found.items():
        if what != "measured":
            alone, held = counts["found"], counts["found_with_a_checkpoint"]
            found_ = f"{alone} found by the chain, {held} with a checkpoint"
            yield f"| {what} | {counts['times']} ledgers | {found_} |"


def _hostile(found: Results) -> Iterator[str]:
    corpus, made = found["corpus"], found["made_up"]
    told, failed = corpus["answers_that_tell_of_the_inside"], found["answers_of_500_and_more"]
    how_much = f"{corpus['cases']} cases, {made['requests']:,} made up from the OpenAPI document"
    statuses = ", ".join(f"{status}: {count:,}" for status, count in made["statuses"].items())
    yield f"| hostile input | {how_much} | {failed} answers ≥ 500, {told} tell of the inside; {statuses} |"


def _spread(figures: Results, form: str, times: float = 1) -> str:
    median, low, high = (figures[name] * times for name in ("median", "lowest", "highest"))
    return f"{median:{form}} [{low:{form}}, {high:{form}}]"


def _speed(found: Results) -> Iterator[str]:
    rates, streams = found["requests_per_second"], found["open_streams"]
    for record, added in found["added_latency_p50_ms"].items():
        how_much = f"p50, effort none, one at a time, {_RECORDS[record]}"
        yield f"| added latency | {how_much} | {_spread(added, '.2f')} ms |"
    for name in ("ledger", "optillm", "upstream"):
        shown = {"ledger": "ponder", "optillm": f"optillm {found['optillm']}"}.get(name, name)
        how_much = f"{shown}, {found['clients']} clients, the same instant upstream"
        yield f"| requests a second | {how_much} | {_spread(rates[name], ',.0f')} |"
    yield f"| requests a second | ponder over optillm | {_spread(found['times_optillm'], '.1f')} |"
    with_, without = streams["resident_mib"], streams["resident_mib_without"]
    resident = f"{with_:,.0f} MiB resident, {without:,.0f} without"
    yield f"| memory | {streams['streams']:,} open streams | {resident} |"
    ended = f"{streams['seconds_from_sigterm_to_end']} s, each told and settled"
    yield f"| SIGTERM | {streams['streams']:,} open streams | {ended} |"
    slow = found["with_a_model_that_takes_its_time"]
    for part, model in ((found, "that answers at once"), (slow, f"that takes {slow['seconds']} s")):
        for record, share in part["share_of_throughput_that_the_record_takes"].items():
            how_much = f"{_RECORDS[record]}, {found['clients']} clients, a model {model}"
            yield f"| share of the throughput | {how_much} | {_spread(share, '.1f', 100)} % |"


_RECORDS = {
    "ledger": "the ledger",
    "barest": "the barest durable record (rows as JSON, one sync for all that wait)",
    "none": "nothing recorded",
}
_ROWS = {"leak": _leak, "overspend": _overspend, "tamper": _tamper, "hostile": _hostile, "speed": _speed}
