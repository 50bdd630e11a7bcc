"""Money from inference: the loop in which it buys training, and export below cost.

The loop, month by month, with T_h the doubling time of compute a dollar:

    price(t)   = price · fall^-t
    wanted(t)  = demand · growth^t · (price(t)/price)^-elasticity · (training(t)/training(0))^pull
    sold(t)    = min(wanted(t), chips(t) · rate · faster^t)         faster = fall / 2^(1/T_h), at least 1
    chips'(t)  = build · margin · price(t) · sold(t) / chip price · 2^(t/T_h)
    training(t) = reinvest · margin · price(t) · sold(t) · FLOP per USD · 2^(t/T_h)      a year

Where chips do not bind, training settles on a growth of

    (growth · fall^(elasticity - 1) · 2^(1/T_h))^(1/(1 - pull))       a year, for pull < 1.

The price falls at a constant margin: by cheaper hardware, and for the rest by more tokens from one chip.
Without a pull of better models on demand the loop is no loop: it only passes on what demand does. Export at a
price below the unit's cost: users follow the price by the elasticity, the exporter's tokens are bounded by
its chips, and the bill is the difference for every token sold. One elasticity is taken to hold all the way
from the rivals' price to the exporter's, and no more people use it than are online.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ponder.govern.calculator import (
    Calculator,
    Chart,
    Choice,
    Floats,
    Input,
    Inputs,
    Output,
    Outputs,
    Row,
    Settings,
    Table,
)

__all__ = [
    "CALCULATOR",
    "Export",
    "Loop",
    "Path",
    "exported",
    "run_loop",
    "steady_growth",
    "unit_cost",
]

_HOUR, _DAY, _YEAR = 3600.0, 86400.0, 365.25 * 86400.0
_MILLION = 1e6
_MONTHS = 12
_LONGEST = 30 * _MONTHS
_SUBSIDIES = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95)
_LEVEL = (0.05, 0.5, 0.95)


@dataclass(frozen=True)
class Loop:
    """What the loop runs on [B]: USD a million tokens and its fall, times a year; tokens a day that are
    wanted and their growth, times a year; chips, the tokens a second of one and its USD; FLOP a USD; shares
    of the revenue."""

    price: Floats
    fall: Floats
    demand: Floats
    growth: Floats
    elasticity: Floats
    pull: Floats
    margin: Floats
    reinvest: Floats
    build: Floats
    chips: Floats
    rate: Floats
    chip_price: Floats
    flop_per_usd: Floats
    hardware: Floats


@dataclass(frozen=True)
class Path:
    """The loop's months [T, B]: USD a year, training FLOP a year, and whether chips bound what was sold."""

    revenue: Floats
    training: Floats
    bound: NDArray[np.bool_]


def run_loop(of: Loop, months: int) -> Path:
    """Month 0 to `months`. Training pulls on the demand of the month after it."""
    shape = np.broadcast_shapes(*(np.shape(each) for each in vars(of).values()))
    revenue, training = np.empty((2, months + 1, *shape))
    bound = np.empty((months + 1, *shape), dtype=np.bool_)
    # What a month multiplies: demand, the tokens of a chip, USD a token, and what a USD buys.
    faster = np.maximum(of.fall / np.exp2(1.0 / of.hardware), 1.0)
    grown, sped, priced, cheaper = (
        np.asarray(each) ** (1.0 / _MONTHS)
        for each in (of.growth * of.fall**of.elasticity, faster, 1.0 / of.fall, np.exp2(1.0 / of.hardware))
    )
    chips, wanted, rate = of.chips, of.demand, of.rate * _DAY
    usd, bought = of.price / _MILLION * (_YEAR / _DAY), np.ones(shape)
    learnt, built = of.reinvest * of.flop_per_usd, of.build / _MONTHS / of.chip_price
    pulled = np.ones(shape)
    for month in range(months + 1):
        demand, most = wanted * pulled, chips * rate
        revenue[month] = np.minimum(demand, most) * usd
        bound[month] = demand > most
        buys = of.margin * revenue[month] * bought
        training[month] = learnt * buys
        chips = chips + built * buys
        pulled = _ratio(training[month], training[0]) ** of.pull
        wanted, rate, usd, bought = wanted * grown, rate * sped, usd * priced, bought * cheaper
    return Path(revenue, training, bound)


def _ratio(now: Floats, first: Floats) -> Floats:
    """1 where the first is nothing."""
    return np.divide(now, first, out=np.ones_like(now), where=first > 0.0)


def steady_growth(of: Loop) -> Floats:
    """How many times as much training each year brings once the loop has settled and chips do not bind;
    infinite where the pull is 1 or more. That training pulls a month later changes its level alone."""
    driven = of.growth * of.fall ** (of.elasticity - 1.0) * np.exp2(1.0 / of.hardware)
    closed = of.pull >= 1.0
    out: Floats = np.where(closed, np.inf, driven ** (1.0 / (1.0 - np.where(closed, 0.0, of.pull))))
    return out


def unit_cost(chip_hour: Floats, rate: Floats) -> Floats:
    """USD a million tokens of a chip at `chip_hour` USD and `rate` tokens a second."""
    out: Floats = chip_hour / (_HOUR * rate) * _MILLION
    return out


@dataclass(frozen=True)
class Export:
    """What a subsidy does [B]: USD a million tokens, users, tokens a day, USD a year, and the share of the
    market's users."""

    price: Floats
    users: Floats
    tokens: Floats
    bill: Floats
    share: Floats


def exported(
    cost: Floats,
    subsidy: Floats,
    users: Floats,
    rivals: Floats,
    rival_price: Floats,
    elasticity: Floats,
    per_user: Floats,
    most: Floats,
    people: Floats,
) -> Export:
    """Users follow the price as (price / rival's price)^-elasticity from `users` at the rival's price, up to
    all `people`, and are served up to `most` tokens a day at `per_user`; `rivals` is how many the rivals
    keep."""
    price = cost * (1.0 - subsidy)
    wanted = users * (price / rival_price) ** -elasticity
    served = np.minimum(np.minimum(wanted, people), most / per_user)
    tokens = served * per_user
    bill = subsidy * cost * tokens * (_YEAR / _DAY) / _MILLION
    return Export(price, served, tokens, bill, served / (served + rivals))


def _loop(x: Inputs) -> Loop:
    return Loop(
        price=x["price"],
        fall=x["fall"],
        demand=x["demand"],
        growth=x["growth"],
        elasticity=x["elasticity"],
        pull=x["pull"],
        margin=x["margin"],
        reinvest=x["reinvest"],
        build=x["build"],
        chips=x["chips"],
        rate=x["rate"],
        chip_price=x["chip_price"] * x["capital"],
        flop_per_usd=x["peak"] * x["utilisation"] * _HOUR / x["chip_hour"],
        hardware=x["hardware"],
    )


def _months(x: Inputs) -> int:
    """The simulation is as long as the longest draw asks for; each draw is told at its own end."""
    return min(_LONGEST, int(np.ceil(np.max(x["years"]) * _MONTHS)))


def _at_end(path: Floats, years: Floats) -> Floats:
    place = np.clip(np.round(years * _MONTHS), 0, len(path) - 1).astype(np.int64)
    out: Floats = path[place, np.arange(path.shape[1])]
    return out


def _exported(x: Inputs, subsidy: Floats, *, cost: Floats | None = None) -> Export:
    return exported(
        unit_cost(x["export_chip_hour"], x["rate"]) if cost is None else cost,
        subsidy,
        x["users"],
        x["rival_users"],
        x["rival_price"],
        x["elasticity"],
        x["user_tokens"],
        x["export_chips"] * x["rate"] * _DAY,
        x["people"],
    )


def _compute(x: Inputs, about: Settings) -> Outputs:
    loop = _loop(x)
    path = run_loop(loop, _months(x))
    years = np.maximum(np.round(x["years"] * _MONTHS), 1.0) / _MONTHS
    end = {"revenue": _at_end(path.revenue, x["years"]), "training": _at_end(path.training, x["years"])}
    months = np.arange(len(path.bound))[:, None]
    counted = months <= np.round(x["years"] * _MONTHS)
    none = np.zeros_like(x["subsidy"])
    free, sold = _exported(x, none), _exported(x, x["subsidy"])
    level = _exported(x, none, cost=x["rival_price"])
    return {
        "revenue_now": path.revenue[0],
        "revenue": end["revenue"],
        "training_now": path.training[0],
        "training": end["training"],
        "training_growth": (end["training"] / path.training[0]) ** (1.0 / years),
        "steady_growth": steady_growth(loop),
        "bound": (path.bound * counted).sum(axis=0) / counted.sum(axis=0),
        "unit_cost": unit_cost(x["export_chip_hour"], x["rate"]),
        "export_price": sold.price,
        "users_at_cost": free.users,
        "users_reached": sold.users,
        "export_tokens": sold.tokens,
        "bill": sold.bill,
        "users_won": sold.users - free.users,
        "below_rivals": x["rival_price"] / free.price,
        "share_at_rivals_price": level.share,
        "share_at_cost": free.share,
        "share": sold.share,
    }


def _tables(x: Inputs, y: Outputs, about: Settings) -> Sequence[Table]:
    path = run_loop(_loop(x), _months(x))
    return (
        _by_year("revenue", "Revenue, year by year", "USD/year", path.revenue),
        _by_year("training", "The training that revenue buys, year by year", "FLOP/year", path.training),
        _by_subsidy(x),
    )


def _by_year(name: str, title: str, unit: str, months: Floats) -> Table:
    """Every half year of `months` [T, B]."""
    step = _MONTHS // 2
    ends = np.quantile(months[::step], _LEVEL, axis=1, method="inverted_cdf").T.tolist()
    rows = [(place * step / _MONTHS, middle, low, high) for place, (low, middle, high) in enumerate(ends)]
    columns = ("year", unit, f"{unit} low", f"{unit} high")
    return Table(name, title, columns, tuple(rows), Chart("year", unit, log_y=True))


def _by_subsidy(x: Inputs) -> Table:
    found = _exported(x, np.array(_SUBSIDIES)[:, None])
    middle = [
        np.quantile(each, 0.5, axis=1, method="inverted_cdf").tolist()
        for each in (found.price, found.users, found.tokens, found.bill)
    ]
    low, share, high = np.quantile(found.share, _LEVEL, axis=1, method="inverted_cdf").tolist()
    return Table(
        "export",
        "What a subsidy of the unit's cost buys, at the median of everything else",
        (
            "subsidy",
            "USD per Mtoken",
            "users",
            "tokens/day",
            "bill, USD/year",
            "share",
            "share low",
            "share high",
        ),
        tuple(zip(_SUBSIDIES, *middle, share, low, high, strict=True)),
        Chart("subsidy", "share"),
    )


def _notes(x: Inputs, y: Outputs, about: Settings) -> Sequence[str]:
    runaway = float((x["pull"] >= 1.0).mean())
    level, free = (float(np.median(y[name])) for name in ("share_at_rivals_price", "share_at_cost"))
    everyone = float((y["users_reached"] >= 0.999 * x["people"]).mean())
    capped = float((y["export_tokens"] >= 0.999 * x["export_chips"] * x["rate"] * _DAY).mean())
    return (
        "More inference sold buys more training only as far as better models pull more demand; with an "
        "elasticity of "
        "1 a falling price by itself leaves revenue where it was.",
        f"Where the pull is 1 or more ({runaway:.0%} of the draws) the loop has no steady growth, until "
        f"chips bind.",
        f"The exporter's chips bound what it sells in {capped:.0%} of the draws: there a larger subsidy buys "
        f"a larger "
        "bill and no user.",
        f"At the rivals' price {level:.0%} of the users are the exporter's; at its unit's cost, "
        f"{float(np.median(y['below_rivals'])):.3g} times below and before any subsidy, {free:.0%}. The "
        "difference is one elasticity, stretched over that gap.",
        f"All who are online would use it in {everyone:.0%} of the draws.",
        "A share of users is not a share of use that matters, and users won by a price leave by a price.",
        "Prices, demand and elasticity are taken to hold for one good; tokens of different models are not "
        "one.",
    )


_INPUTS = (
    Input("years", "year", "How far the loop is followed.", "3", most=_LONGEST / _MONTHS,
          why="a choice, not a fact"),
    Input("price", "USD", "Price of a million tokens now.", "2..10", why="of strong models' output in 2025"),
    Input("fall", "times", "How many times cheaper a year makes the tokens of one quality.",
          Row("rates", "price_fall")),
    Input("demand", "token/day", "Tokens that are wanted at this price now.", "1e12..1e13",
          why="of one large provider; unpublished"),
    Input("growth", "times", "How demand grows a year at a constant price and quality.", "1.2..3",
          why="unmeasured apart from price and quality"),
    Input("elasticity", "", "How demand follows the price: 1 keeps revenue constant.",
          Row("rates", "token_elasticity")),
    Input("pull", "", "How demand follows training: in (training)^pull.", "0.2±0.2", positive=False,
          least=0.0,
          why="unmeasured; 0 is no loop"),
    Input("margin", "", "The share of revenue that is left after serving.", "0.4±0.2", most=1.0,
          why="reported margins differ widely"),
    Input("reinvest", "", "The share of that which buys training.", "0.6±0.2", positive=False, least=0.0,
          most=1.0,
          why="a choice of the firm"),
    Input("build", "", "The share of that which buys chips to serve with.", "0.3±0.1", positive=False,
          least=0.0,
          most=1.0, why="a choice of the firm"),
    Input("chips", "", "Chips that serve now.", "1e4..1e5", why="of one large provider; unpublished"),
    Input("rate", "token/s", "Tokens a second of one chip.", "500..5000",
          why="see scale for a model and a chip"),
    Input("chip_price", "USD", "List price of a chip.", Row("chips", "$chip", "price")),
    Input("capital", "", "Capital for a chip and its share of the building, as a multiple of its list price.",
          Row("scale", "cost", "capital_per_list_price")),
    Input("chip_hour", "USD/h", "What an hour of a chip for training costs.",
          Row("chips", "$chip", "hour_price")),
    Input("peak", "FLOP/s", "What a chip for training does at most.", Row("chips", "$chip", "bf16")),
    Input("utilisation", "", "The share of it that training reaches.", Row("rates", "training_utilisation"),
          most=1.0),
    Input("hardware", "year", "Time in which a dollar comes to buy twice the compute.",
          Row("rates", "hardware_doubling")),
    Input("subsidy", "", "The share of the unit's cost that is paid by the exporter's state.", "0.5",
          positive=False, least=0.0, most=0.999, why="the question itself"),
    Input("export_chips", "", "Chips that the exporter serves abroad with.", "3e4..3e5", why="unpublished"),
    Input("export_chip_hour", "USD/h", "What an hour of such a chip costs the exporter.", "1..3",
          why="cheaper power, dearer chips"),
    Input("users", "", "Users the exporter has at the rivals' price.", "1e7..1e8", why="unpublished"),
    Input("rival_users", "", "Users the rivals keep.", "1e8..1e9", why="unpublished"),
    Input("rival_price", "USD", "Rivals' price of a million tokens.", "2..15",
          why="list prices of 2025 and 2026"),
    Input("people", "", "People who could be users: those online.", Row("rates", "people_online")),
    Input("user_tokens", "token/day", "Tokens of a user in a day.", "1e3..1e5", why="from chats to agents"),
)  # fmt: skip

_OUTPUTS = (
    Output("training_growth", "times", "How training grows, a year, on the way."),
    Output("revenue_now", "USD/year", "Revenue of the first month, a year."),
    Output("revenue", "USD/year", "Revenue of the last month, a year."),
    Output("training_now", "FLOP/year", "Training that the first month's revenue buys, a year."),
    Output("training", "FLOP/year", "Training that the last month's revenue buys, a year."),
    Output("steady_growth", "times", "How it grows once settled, were there chips enough."),
    Output("bound", "", "The share of months in which chips bound what was sold."),
    Output("unit_cost", "USD", "What a million tokens cost the exporter."),
    Output("export_price", "USD", "What they are sold for."),
    Output("users_at_cost", "", "Users at a price that covers the cost."),
    Output("users_reached", "", "Users at the subsidised price."),
    Output("users_won", "", "Users that the subsidy won."),
    Output("export_tokens", "token/day", "Tokens that are exported."),
    Output("bill", "USD/year", "What the subsidy costs."),
    Output("below_rivals", "times", "How many times the unit's cost rivals' price is."),
    Output("share_at_rivals_price", "", "The exporter's share of users at the rivals' price."),
    Output("share_at_cost", "", "The exporter's share of users at a price that covers the cost."),
    Output("share", "", "Its share of users at the subsidised price."),
)

CALCULATOR = Calculator(
    name="economy",
    title="What revenue from inference buys, and what export below cost does",
    inputs=_INPUTS,
    outputs=_OUTPUTS,
    compute=_compute,
    choices=(Choice("chip", "The chip that trains.", "h100-sxm", table="chips"),),
    tables=_tables,
    notes=_notes,
)
