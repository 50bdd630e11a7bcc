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
        _ponder(f"adaptive_vote:n={n},delta={delta}", adaptive=True, live=(n, delta) == (64, 0.1))
        for n, delta in ((16, 0.1), (64, 0.1), (64, 0.02))
    ),
    *(
        _ponder(f"probability_vote:{parameters}", adaptive=True, live="n=12" in parameters)
        for parameters in (
            "n=8,first=8",
            "n=12,slack=0.1,first=3",
            "n=16,slack=0.05,first=2",
            "n=16,slack=0.1",
        )
    ),
    *(_its_hub(f"voting {k}", _VOTING, k, {}, live=k == 16) for k in VOTES),
    *(
        _its_hub(
            f"adaptive {threshold} of {budget}",
            _ADAPTIVE,
            budget,
            {"threshold": threshold},
            adaptive=True,
            live=(threshold, budget) == (0.75, 64),
        )
        for threshold, budget in ((0.6, 64), (0.75, 64), (0.75, 16), (0.75, 32))
    ),
    *(
        _its_hub(
            f"Beta {confidence} of {budget}",
            _BETA,
            budget,
            {"confidence_threshold": confidence},
            adaptive=True,
            cancels=True,
            live=(confidence, budget) == (0.95, 64),
        )
        for confidence, budget in ((0.8, 64), (0.95, 64), (0.95, 16))
    ),
    _optillm("voting 16", "majority_voting", 16, live=True),
    _its_hub("best-of-16, judged", "bon.BestOfN", 16, {}, live=True, judged=True),
    _optillm("best-of-8, judged", "bon", 8, live=True, judged=True),
)


def named(names: tuple[str, ...]) -> tuple[System, ...]:
    """The systems with one of these names, or of one of these families; all without any."""
    return tuple(s for s in SYSTEMS if not names or {s.name, s.family} & set(names))
