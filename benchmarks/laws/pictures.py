"""The pictures of docs/findings.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.laws.draws import fitted_to

from ponder.laws import Counts, fit
from ponder.laws.coverage import BetaBinomial, PowerLaw, pass_at
from ponder.laws.spending import SpendingStudy
from ponder.laws.study import ExchangeStudy, WorthStudy
from ponder.report.curve_charts import LACKING, law_chart
from ponder.report.law_charts import exchange_chart, spending_chart, worth_chart
from ponder.train.recorded import estimated

__all__ = ["coverage_picture", "exchange_picture", "save", "ways_picture", "worth_picture"]

RIGHT = 0.01
"""Of answers, for a gain to say something."""

_PLACES, _POINTS = 80, 17


def save(chart: Any, path: Path) -> None:
    """As .svg or as .png, by the path's ending."""
    import vl_convert

    specification = chart.to_dict(validate=False)
    if path.suffix == ".png":
        path.write_bytes(bytes(vl_convert.vegalite_to_png(specification, scale=2)))
    else:
        path.write_text(str(vl_convert.vegalite_to_svg(specification)), "utf-8")


def coverage_picture(counts: Counts, *, draws: int) -> Any:
    """The Beta-binomial law of a few draws of each problem beside least squares on the same, and what all
    draws show."""
    known = fitted_to(counts)
    few, _ = counts.thinned(known, np.random.default_rng(0))
    law, rival = (fit(few, each, draws=draws) for each in (BetaBinomial(), PowerLaw(on_shares=True)))
    ks = np.unique(np.geomspace(1, counts.least, _POINTS).round().astype(np.int64))
    passed = [(float(k), *astuple(each)) for k, each in zip(ks, estimated(pass_at(counts, ks)), strict=True)]
    # The last place that was fitted is among them, where the shade begins.
    places = np.unique(np.append(np.geomspace(1.0, counts.least, _PLACES), float(known)))
    return law_chart(
        passed,
        law.predict(places),
        title=f"{counts.name}: coverage of k samples",
        x_title="Samples per problem",
        subtitle=(
            f"line: {law.law.name} law of {known} draws, dashed: {rival.law.name}",
            f"points: all {counts.least:,} draws; bars and band: 90 %",
        ),
        rival=rival.predict(places).value.tolist(),
        lacking=LACKING,
    )


def exchange_picture(studies: Sequence[ExchangeStudy]) -> Any:
    return exchange_chart(studies)


def worth_picture(studies: Mapping[str, WorthStudy]) -> Any:
    """Of each enhancement the models whose plain answers are right often enough."""
    return worth_chart(
        [replace(each, task=f"{each.task}: {name}", **_told(each)) for name, each in studies.items()]
    )


def _told(study: WorthStudy) -> dict[str, Any]:
    places = [at for at, row in enumerate(study.rows) if row.plain is not None and row.plain.value >= RIGHT]
    return {
        "rows": tuple(study.rows[at] for at in places),
        "breadth": tuple(study.breadth[at] for at in places),
    }


def ways_picture(study: SpendingStudy) -> Any:
    return spending_chart([study])
