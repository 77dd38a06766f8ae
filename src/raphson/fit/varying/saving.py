"""The criterion at its maximum without its data, as a file has it: all that predictions and tables need.

A saved fit keeps the coefficients, the cross-products AᵀWA with the weights of the maximum, from which H is factorised
again, and the tables whose computation reads the rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from raphson.data.varying.term import Structure, VaryingTerm
from raphson.fit.file import array, expect, is_count, is_list, is_number, is_texts, listed
from raphson.model.families.distribution import Distribution
from raphson.model.varying.criterion import Criterion, Inner
from raphson.model.varying.layout import Pairs
from raphson.model.varying.results import AtMaximum

if TYPE_CHECKING:
    import pandas as pd

TABLES = {
    "variances": (("group", "term", "kind"), ("estimate", "std_error", "lower", "upper")),
    "level_effects": (("group", "level", "term"), ("mode", "conditional_sd", "posterior_sd", "sd")),
    "smooths": (("term",), ("edf", "lambda", "statistic", "p_value")),
}
"""The tables that a file has, with their columns of text and of numbers; smooth functions may have more strengths."""


class WithoutRows(Criterion):
    """A criterion of a loaded fit: it has terms, with their levels, and a layout, but no rows."""

    def __init__(
        self, family: Distribution, terms: list[VaryingTerm], widths: list[int], restricted: bool, tau: bool
    ) -> None:
        quadratic = bool(getattr(family, "quadratic", False))
        scaled, K = not family.dispersion_fixed, len(widths)
        self.density: Any = SimpleNamespace(
            family=family, y=np.zeros(0), scaled=scaled, has_tau=tau, quadratic=quadratic, n_predictors=K
        )
        self._arrange([np.zeros((0, p)) for p in widths], terms, restricted)
        self.offset = np.zeros((K, 0))


def stored(at: AtMaximum, tables: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """The entries of a file."""
    own, pairs = at.criterion, at.criterion.layout.pairs
    terms = [
        {
            "label": term.label,
            "group": term.group,
            "grouped": term.codes is not None,
            "levels": list(term.levels),
            "names": list(term.names),
            "structure": term.structure,
            "smooth": term.smooth,
            "margins": list(term.margins),
            "penalties": None if term.penalties is None else listed(term.penalties),
            "predictor": term.predictor,
        }
        for term in own.terms
    ]
    blocks = [
        {
            "pieces": [k, j],
            "first": pairs[k, j].first.tolist(),
            "second": pairs[k, j].second.tolist(),
            "values": listed(block),
        }
        for (k, j), block in at.spot.mode.K.items()
    ]
    return {
        "terms": terms,
        "restricted": own.restricted,
        "tau": own.density.has_tau,
        "p": int(own.X.shape[1]),
        "widths": [int(X.shape[1]) for X in own.designs],
        "theta": listed(at.theta),
        "free": at.free.astype(int).tolist(),
        "cov": listed(at.cov),
        "coefficients": listed(at.coefficients),
        "moves": [] if own.restricted else listed(at.moves_of_modes),
        "edf": [None if number is None else int(number) for number in at.edf],
        "edf_values": [float(value) for value in at.edf.values()],
        "cross": blocks,
        **{name: {column: tables[name][column].tolist() for column in tables[name].columns} for name in TABLES},
    }


def restored(saved: Any, family: Distribution) -> AtMaximum:
    """What :func:`stored` described, checked."""
    expect(isinstance(saved, dict), "varying: expected names")
    for name in ("restricted", "tau"):
        expect(isinstance(saved[name], bool), f"{name}: expected true or false")
    expect(is_count(saved["p"]), "p: expected a count")
    expect(is_list(saved["terms"], lambda one: isinstance(one, dict)) and saved["terms"], "terms: expected terms")
    terms = [_term(one) for one in saved["terms"]]
    widths = saved["widths"]
    expect(is_list(widths, is_count) and sum(widths) == saved["p"], "widths: expected counts with the sum p")
    expect(all(term.predictor < len(widths) for term in terms), "predictor: expected one of them")
    criterion = WithoutRows(family, terms, widths, saved["restricted"], saved["tau"])
    J, size = criterion.n_params, criterion.layout.size
    theta = array(saved["theta"], (J,), "theta")
    free = array(saved["free"], (J,), "free") != 0
    found = AtMaximum(criterion, theta, free)
    coefficients = array(saved["coefficients"], (size,), "coefficients")
    cross: dict[tuple[int, int], np.ndarray] = {}
    pieces, pairs = criterion.layout.pieces, {}
    for one in saved["cross"]:
        k, j = one["pieces"]
        expect(0 <= k <= j < len(pieces), "cross: its pieces")
        first, second = (np.array(one[name], dtype=int) for name in ("first", "second"))
        expect(first.shape == second.shape and first.ndim == 1, "cross: as many first levels as second ones")
        for levels, piece in ((first, pieces[k]), (second, pieces[j])):
            expect(bool(((levels >= 0) & (levels < piece.levels)).all()), "cross: its levels")
        cross[k, j] = array(one["values"], (len(first), pieces[k].width, pieces[j].width), "cross")
        alone = pieces[k].codes is None and pieces[j].codes is None
        pairs[k, j] = Pairs(None if alone else np.zeros(0, dtype=int), first, second)
    expect(set(pairs) == {(k, j) for j in range(len(pieces)) for k in range(j + 1)}, "cross: every pair of pieces")
    vars(criterion.layout)["pairs"] = pairs  # those that rows would give
    factor = Inner(criterion, theta).factored(cross)
    expect(factor.log_det is not None, "cross: expected a positive definite matrix")
    moves = np.zeros((J, size)) if criterion.restricted else array(saved["moves"], (J, size), "moves")
    expect(is_list(saved["edf_values"], is_number), "edf_values: expected numbers")
    vars(found).update(
        spot=SimpleNamespace(mode=SimpleNamespace(v=coefficients, factor=factor, K=cross), theta=theta),
        cov=array(saved["cov"], (J, J), "cov"),
        coefficients=coefficients,
        moves_of_modes=moves,
        edf=dict(zip(saved["edf"], saved["edf_values"], strict=True)),
    )
    return found


def restored_tables(saved: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """The tables of :func:`stored`, checked."""
    import pandas as pd

    found = {}
    for name, (texts, numbers) in TABLES.items():
        columns = saved[name]
        expect(isinstance(columns, dict), f"{name}: its columns")
        more = [f"lambda_{m}" for m in range(2, 1 + len(columns))][: max(len(columns) - len(texts) - len(numbers), 0)]
        if name == "smooths":
            numbers = (*numbers[:2], *more, *numbers[2:])
        expect(list(columns) == [*texts, *numbers], f"{name}: its columns")
        expect(all(is_texts(columns[one], False) for one in texts), f"{name}: expected texts")
        expect(all(is_list(columns[one], is_number) for one in numbers), f"{name}: expected numbers")
        table = pd.DataFrame(columns, dtype=None if columns[texts[0]] else object)
        found[name] = table.astype(dict.fromkeys(numbers, float)) if len(table) else table
    return found


def _term(saved: Mapping[str, Any]) -> VaryingTerm:
    for name in ("label", "group"):
        expect(isinstance(saved[name], str), f"{name}: expected text")
    for name in ("grouped", "smooth"):
        expect(isinstance(saved[name], bool), f"{name}: expected true or false")
    expect(is_texts(saved["names"]) and bool(saved["names"]), "names: expected different texts")
    expect(is_texts(saved["levels"]), "levels: expected different texts")
    expect(saved["structure"] in get_args(Structure), "structure: not known")
    expect(is_count(saved["predictor"]), "predictor: expected a count")
    expect(not saved["grouped"] or bool(saved["levels"]), "levels: expected one or more")
    expect(is_texts(saved["margins"]), "margins: expected different texts")
    penalties, tensor = None, saved["structure"] == "tensor"
    expect(tensor == bool(saved["margins"]) == (saved["penalties"] is not None), "margins: those of a tensor product")
    if tensor:
        penalties = array(saved["penalties"], (len(saved["margins"]), len(saved["names"])), "penalties")
        expect(bool((penalties >= 0).all() and penalties.any(axis=0).all()), "penalties: expected positive ones")
    return VaryingTerm(
        saved["label"],
        saved["group"],
        np.zeros((0, len(saved["names"]))),
        np.zeros(0, dtype=np.int32) if saved["grouped"] else None,
        tuple(saved["levels"]),
        tuple(saved["names"]),
        saved["structure"],
        saved["smooth"],
        tuple(saved["margins"]),
        penalties,
        predictor=saved["predictor"],
    )
