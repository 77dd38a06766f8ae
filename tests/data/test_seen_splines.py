from __future__ import annotations

import numpy as np
import pytest

import raphson as rp
from raphson.data import from_formula, from_stream, quantiles
from raphson.errors import DataError, FormulaError

NONE = dict.fromkeys(("weights", "offset", "trials", "groups"))
CLIPPED = "lower_bound=-4, upper_bound=6, extrapolation"


@pytest.fixture(params=["few kept", "usual"])
def kept(request, monkeypatch) -> None:
    """With few numbers kept the knots take several passes."""
    if request.param == "few kept":
        for name, number in (("FEW", 20), ("FEWEST", 10), ("KEPT", 500)):
            monkeypatch.setattr(quantiles, name, number)


@pytest.mark.usefixtures("kept")
@pytest.mark.filterwarnings("ignore::raphson.errors.MissingDataWarning")
@pytest.mark.parametrize(
    "term",
    [
        "bs(x, df=5)",
        "bs(z, 5, degree=2)",
        "bs(k, df=6, include_intercept=True)",
        f"bs(x, df=5, {CLIPPED}='clip')",
        f"bs(x, df=5, {CLIPPED}='extend')",
        "cr(x, df=4)",
        "cr(x, df=2, constraints='center')",
        "cs(z, df=5)",
        "cc(k, df=4)",
        "0 + cr(x, df=5)",
        "g:cr(z, df=4)",
        "cr(x, knots=c(1, 2))",
        "cr(x, df=5, lower_bound=-4, upper_bound=6)",
        f"cr(x, df=5, {CLIPPED}='clip')",
        f"cr(x, df=5, {CLIPPED}='zero')",
        "cr(x, df=4, constraints='center'):g",
        "bs(z, df=5) * g + bs(z, df=4)",
        "bs(z, df=3)",
    ],
)
def test_a_spline_has_the_knots_and_the_means_of_all_rows(term, frame, pieces):
    held = from_formula(f"y ~ {term}", frame)
    data = from_stream(f"y ~ {term}", pieces(frame), NONE)
    assert data.states.keys() == held.schema._states.keys() and data.plan.names == held.names
    for text, state in held.schema._states.items():
        assert state.keys() == data.states[text].keys()
        for name, value in state.items():
            now = data.states[text][name]
            assert (now is None) == (value is None) and type(now) is type(value)
            if name == "constraints" and value is not None:
                np.testing.assert_allclose(now, value, rtol=1e-12, atol=1e-15)
            elif value is not None:
                np.testing.assert_array_equal(now, value)
    rows = np.concatenate([np.asarray(one.X) for _, one in data.read(data.pieces)])
    np.testing.assert_allclose(rows, held.X, rtol=1e-10, atol=1e-12)


@pytest.mark.filterwarnings("ignore::raphson.errors.MissingDataWarning")
def test_fits_are_those_of_a_frame(frame, pieces):
    for term in ("bs(x, df=5)", "cr(z, df=4)", "bs(scale(x), df=6) + g"):
        held = rp.glm(f"y ~ {term}", frame, family="poisson")
        fit = rp.glm(f"y ~ {term}", pieces(frame), family="poisson")
        assert np.abs((fit.params - held.params) / held.bse).max() < 1e-8
        np.testing.assert_allclose(fit.predict(frame[3000:3050]), held.predict(frame[3000:3050]), rtol=1e-9)


@pytest.mark.parametrize(
    ("term", "kind", "says"),
    [
        ("bs(z, df=2)", DataError, "`df` must be greater than 3"),
        ("bs(z, df=5, knots=c(2))", DataError, "cannot specify both"),
        ("cr(z)", DataError, "specify either 'df' or 'knots'"),
        ("cr(z, df=0)", DataError, "'df'=0 must be greater"),
        ("bs(z, df='a')", FormulaError, "expected a number as df of bs"),
        ("bs(log(-z), df=5)", DataError, "no finite value"),
        ("bs(z, df=5, lower_bound=5, upper_bound=6, extrapolation='clip')", DataError, "no value lies between"),
        ("bs(z, df=5, lower_bound=1.5)", DataError, "outside the range of the knots|beyond upper and/or lower bounds"),
        ("cr(0 * z, df=5)", DataError, "distinct knots"),
        (f"cr(x, df=4, {CLIPPED}='na')", DataError, "so none is left"),
    ],
)
def test_what_has_no_knots(term, kind, says, frame, pieces):
    with pytest.raises(kind):
        from_formula(f"y ~ {term}", frame)
    with pytest.raises(kind, match=says):
        from_stream(f"y ~ {term}", pieces(frame), NONE)
