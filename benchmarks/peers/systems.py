"""The systems that are compared, as data. Adding one is adding a row of `SYSTEMS`.

The peers run with their own default setting and with others around it, so that none is judged by one
choice of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["BASELINE", "SYSTEMS", "VOTES", "System", "named"]

VOTES = (1, 2, 4, 8, 16, 32, 64)
BASELINE = "vote:n=64"

Kind = Literal["ponder", "its_hub", "optillm"]


@dataclass(frozen=True, slots=True)
class System:
    """One way to answer. `family`: settings of one method, of which the cheapest that is good enough
    stands for it. `options` are the worker's. `adaptive`: how many samples it takes depends on the samples.
    `cancels`: it gives up requests in flight, so that what it spends depends on how fast they are served.
    `live`: it is among those that are checked on a live model. `judged`: a model must judge its samples, so
    that no bank can serve it.
    """

    name: str
    kind: Kind
    family: str
    options: Mapping[str, Any]
    adaptive: bool = False
    cancels: bool = False
    live: bool = False
    judged: bool = False

    @property
    def ours(self) -> bool:
        return self.kind == "ponder"


def _ponder(spec: str, **flags: bool) -> System:
    """`ponder.ask(..., strategy=spec)`."""
    return System(spec, "ponder", spec.partition(":")[0], {"strategy": spec}, **flags)


def _its_hub(name: str, algorithm: str, budget: int, options: Mapping[str, Any], **flags: bool) -> System:
    """`algorithm`: its module and class."""
    chosen = {"algorithm": algorithm, "budget": budget, "options": dict(options)}
    return System(f"its_hub {name}", "its_hub", f"its_hub {name.split()[0].rstrip(',')}", chosen, **flags)


def _optillm(name: str, approach: str, n: int, **flags: bool) -> System:
    chosen = {"approach": approach, "n": n}
    return System(f"optillm {name}", "optillm", f"optillm {name.split()[0].rstrip(',')}", chosen, **flags)


_ADAPTIVE = "adaptive_self_consistency.AdaptiveSelfConsistency"
_BETA = "beta_self_consistency.BetaSelfConsistency"
_VOTING = "self_consistency.SelfConsistency"

SYSTEMS: tuple[System, ...] = (
    *(_ponder(f"vote:n={k}", live=k in (1, 16, 64)) for k in VOTES),
    *(
        _ponder(f"adaptive_vote:n=64,delta={delta}", adaptive=True, live=delta == 0.05)
        for delta in (0.02, 0.05, 0.1)
    ),
    *(_its_hub(f"voting {k}", _VOTING, k, {}) for k in (16, 64)),
    *(
        _its_hub(f"adaptive {t}", _ADAPTIVE, 64, {"threshold": t}, adaptive=True, live=t == 0.75)
        for t in (0.6, 0.75, 0.9)
    ),
    *(
        _its_hub(
            f"Beta {c}", _BETA, 64, {"confidence_threshold": c}, adaptive=True, cancels=True, live=c == 0.95
        )
        for c in (0.8, 0.95)
    ),
    *(_optillm(f"voting {k}", "majority_voting", k, live=k == 16) for k in (8, 16)),
    _its_hub("best-of-16, judged", "bon.BestOfN", 16, {}, live=True, judged=True),
    _optillm("best-of-8, judged", "bon", 8, live=True, judged=True),
)


def named(names: tuple[str, ...]) -> tuple[System, ...]:
    """The systems with one of these names, or of one of these families; all without any."""
    return tuple(s for s in SYSTEMS if not names or {s.name, s.family} & set(names))
