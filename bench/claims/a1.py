"""A1: what does it cost to move four heaps of earth, and what is carried from one to the next?"""

from __future__ import annotations

from bench.claims.base import Asked, Claim, Found, Part, closed_form, pick
from bench.claims.reading import column, worst

COST, CARRIED = 5.0, (2.0, 2.0, -1.0, 0.0)
TOLERANCE = 1e-9
ROUTES = {
    "cost_recursion": "the recursion over carried amounts",
    "cost_emd": "the linear program",
    "cost_closed_form": "the area between the running sums",
}


def _judge(found: Found) -> list[Part]:
    rows = pick(found["exact"], check="carried_earth").rows.sort_values(["seed", "step"])
    amounts = column(rows, "carried")
    if len(amounts) % len(CARRIED):
        raise LookupError(f"{len(amounts)} carried amounts, not {len(CARRIED)} a seed")
    costs = [
        closed_form(f"cost by {words}", "error of the cost", worst(column(rows, name) - COST), TOLERANCE)
        for name, words in ROUTES.items()
    ]
    carried = worst(amounts.reshape(-1, len(CARRIED)) - CARRIED)
    return [*costs, closed_form("carried amounts", "largest error of an amount", carried, TOLERANCE)]


CLAIMS = (
    Claim(
        id="A1",
        statement="Moving 3, 2, 1, 4 to 1, 2, 4, 3 costs 5, by carrying 2, 2, -1 and 0 from each place to the next",
        sources=("seed document 004", "Weng 2019, arXiv:1904.08994"),
        grids={"ci": (Asked("exact"),), "cpu": (Asked("exact"),)},
        rule=(
            "exact if the cost is 5 and the carried amounts are 2, 2, -1 and 0 within 1e-9, the worst over seeds: by "
            "the recursion, by the linear program on points a unit apart, and by the area between the running sums. "
            "The sums are of a few whole numbers, which float64 has without error; the tolerance is for the solver"
        ),
        judge=_judge,
        departures="none",
    ),
)
