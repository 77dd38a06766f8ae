"""Readings of a curve's rows by least squares against the blocks' own sums."""

from __future__ import annotations

import numpy as np
import pytest

from raphson.data.curves import parse_curve
from raphson.model import families
from raphson.model.curve.nonlinear import NonlinearPredictor
from raphson.model.curve.written import curve_derivatives
from raphson.model.log_likelihood import LogLikelihood
from raphson.model.objective import Need


class PlainCurve(LogLikelihood):
    """Without rows by hand."""

    @property
    def _squares(self):
        return None


def curve(cls, weights=None, x=None, n=40):
    rng = np.random.default_rng(3)
    x = rng.uniform(0.0, 5.0, n) if x is None else x
    y = 3.0 * (1.0 - np.exp(-0.7 * x)) + 0.1 * rng.normal(size=n)
    written = curve_derivatives(parse_curve("a*(1 - exp(-b*x))", {"x", "a", "b"}, "formula"), ("x",), ("a", "b"))
    predictor = NonlinearPredictor(written, 2, True)
    w = None if weights is None else weights(rng, n)
    return cls(families.Gaussian(), predictor, predictor.blocks((x[:, None],), y, w, None), residual_df=n - 2.0)


@pytest.mark.parametrize("weights", [None, lambda rng, n: rng.integers(0, 3, n) * rng.random(n)], ids=["none", "zero"])
@pytest.mark.parametrize("kinds", [(), ("expected",), ("observed",), ("expected", "observed")], ids=str)
def test_a_curves_rows_by_hand_add_up_to_what_its_block_does(weights, kinds):
    theta, need = np.array([2.5, 0.9]), Need(kinds=kinds, root=True)
    with np.errstate(all="ignore"):
        found, wanted = (curve(cls, weights).evaluate(theta, need) for cls in (LogLikelihood, PlainCurve))
    for name in ("value", "score", "dispersion", "pearson", "highest"):
        np.testing.assert_allclose(getattr(found, name), getattr(wanted, name), rtol=1e-13)
    assert list(found.information) == list(wanted.information) == list(kinds)
    for kind in kinds:
        ours, theirs = found.information[kind], wanted.information[kind]
        np.testing.assert_allclose(ours.matrix, theirs.matrix, rtol=1e-12)
        np.testing.assert_allclose(np.abs(ours.triangle), np.abs(theirs.triangle), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("counts", [True, False])
def test_a_row_outside_a_curves_domain_counts_by_its_weight(counts):
    def weights(rng, n):
        return np.append(np.ones(n - 1), float(counts))

    x = np.append(np.linspace(0.1, 4.0, 39), -1e6)  # exp(0.9e6) overflows
    with np.errstate(all="ignore"):
        found, wanted = (
            curve(cls, weights, x).evaluate(np.array([2.5, 0.9]), Need()) for cls in (LogLikelihood, PlainCurve)
        )
    assert found.value == pytest.approx(wanted.value, rel=1e-13) and np.isfinite(found.value) != counts
    assert found.pearson == pytest.approx(wanted.pearson, rel=1e-13)
