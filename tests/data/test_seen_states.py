from __future__ import annotations

import warnings

import numpy as np
import pytest

import raphson as rp
from raphson.data.seen_states import gauss_nodes, recurrence
from raphson.errors import DataError, FormulaError


@pytest.mark.filterwarnings("ignore::raphson.errors.MissingDataWarning")
@pytest.mark.parametrize(
    "term",
    [
        "scale(x)",
        "center(x) * g",
        "standardize(log(z))",
        "scale(z, center=False)",
        "scale(z, False, 2)",
        "poly(z, 3)",
        "poly(x, 2, raw=True)",
        "poly(k, 2)",
        "bs(x, knots=c(1, 4))",
        "bs(z, knots=c(2), lower_bound=0, upper_bound=4)",
        "bs(z, knots=c(2), lower_bound=1.5, upper_bound=2.5, extrapolation='na')",
    ],
)
def test_a_transform_has_the_state_of_all_rows(term, frame, pieces):
    held = rp.glm(f"y ~ {term}", frame, family="poisson")
    fit = rp.glm(f"y ~ {term}", pieces(frame), family="poisson")
    assert list(fit.params.index) == list(held.params.index) and fit.nobs == held.nobs
    assert np.abs((fit.params - held.params) / held.bse).max() < 1e-8
    new = frame[3000:3050]
    np.testing.assert_allclose(fit.predict(new), held.predict(new), rtol=1e-9)


def test_states_are_those_of_responses_and_of_several_formulas(frame, pieces):
    given, whole = frame.dropna(), rp.glm("scale(z) ~ k", frame)
    assert np.abs((rp.glm("scale(z) ~ k", pieces(frame)).params - whole.params) / whole.bse).max() < 1e-8
    formulas = {"mean": "y ~ scale(z)", "zero": "~ center(k)"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        held = rp.mle("zero_inflated_poisson", formulas, given)
        fit = rp.mle("zero_inflated_poisson", formulas, rp.stream(lambda: iter([given[:3000], given[3000:]]), 256))
    assert abs(fit.llf - held.llf) < 1e-8 * abs(held.llf)
    np.testing.assert_allclose(fit.predict(given[:9]), held.predict(given[:9]), rtol=1e-4)


@pytest.mark.parametrize(
    ("term", "kind", "says"),
    [
        ("poly(few, 3)", DataError, "needs more than 3 different values; got 3"),
        ("scale(z, scale=0)", DataError, "divided by 0"),
        ("scale(z, ddof=1e9)", DataError, "divided by nan"),
        ("bs(z, knots=c(2), lower_bound=1.5, upper_bound=2)", DataError, "outside the range of the knots"),
        ("poly(z, 'a')", FormulaError, "expected a number as degree of poly"),
    ],
)
def test_what_has_no_state(term, kind, says, frame, pieces):
    with pytest.raises(kind, match=says):
        rp.glm(f"y ~ {term}", pieces(frame), family="poisson")


def test_nodes_of_pieces_give_the_polynomials_of_all_rows():
    x = np.random.default_rng(0).lognormal(size=1000) + 1e4
    some = [gauss_nodes(part, 5) for part in np.split(x, 10)]
    alpha, norms = recurrence(np.concatenate([one for one, _ in some]), np.concatenate([w for _, w in some]), 5)
    exact_alpha, exact_norms = recurrence(x, np.ones(len(x)), 5)
    np.testing.assert_allclose(norms, exact_norms, rtol=1e-9)
    np.testing.assert_allclose(alpha[:4], exact_alpha[:4], rtol=1e-12)


def test_the_bits_of_a_state_do_not_depend_on_the_number_of_blas_threads():
    from threadpoolctl import threadpool_limits

    x = np.random.default_rng(0).normal(size=131_072)
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads, "blas"):
            nodes, weights = gauss_nodes(x, 4)
            found.append([*nodes, *weights])
    assert found[0] == found[1]
