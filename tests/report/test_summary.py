from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from raphson.report.summary import summary
from raphson.status import Status


def line_of(text: str, name: str) -> list[str]:
    return next(line for line in text.splitlines() if line.startswith(name)).split()


def test_text_says_what_was_fitted_and_how_it_ended(make_fit) -> None:
    text = str(summary(make_fit()))
    for part in ("low ~ age + race", "binomial", "logit", "irls", "-109.4312", "224.8625", "189"):
        assert part in text
    assert "Converged after 3 iterations, 2.2e-16 standard errors from the maximum." in text
    assert line_of(text, "age") == [
        "age",
        "-0.019877",
        "0.034000",
        "-0.585",
        "0.5588",
        "-0.086517",
        "0.046763",
    ]


def test_text_is_ascii_and_fits_a_terminal(make_fit) -> None:
    # A terminal or a log may know nothing but ASCII.
    text = str(summary(make_fit()))
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 100


def test_only_correct_digits_are_shown(make_fit) -> None:
    fit = make_fit()
    fit.digits.iloc[1] = 2.7
    assert line_of(str(summary(fit)), "age")[1:3] == ["-0.020", "0.034"]


def test_two_digits_are_shown_however_uncertain(make_fit) -> None:
    fit = make_fit()
    fit.digits.iloc[:] = 0.0
    assert line_of(str(summary(fit)), "age")[1:3] == ["-0.020", "0.034"]


def test_unknown_digits_do_not_hide_the_estimate(make_fit) -> None:
    fit = make_fit()
    fit.digits.iloc[:] = np.nan
    assert line_of(str(summary(fit)), "age")[1] == "-0.019877"


@pytest.mark.parametrize(
    ("estimate", "status", "note"),
    [
        (np.nan, Status.CONVERGED, "aliased"),
        (np.inf, Status.SEPARATED, "separated"),
        (-np.inf, Status.SEPARATED, "separated"),
        (-np.inf, Status.BOUNDARY, "infinite"),
    ],
)
def test_a_missing_or_infinite_estimate_is_explained(make_fit, estimate: float, status: Status, note: str) -> None:
    fit = make_fit(message="age cannot be told", status=status)
    fit.params.iloc[1] = estimate
    fit.bse.iloc[1] = fit.tvalues.iloc[1] = fit.pvalues.iloc[1] = np.nan
    text = str(summary(fit))
    assert line_of(text, "age")[-1] == note
    assert f"{note}: " in text
    assert "Age cannot be told." in text


def test_failure_is_said(make_fit) -> None:
    fit = make_fit(status=Status.STEP_LIMIT, converged=False, message="raise max_iter", distance=0.3)
    text = str(summary(fit))
    assert "Step limit after 3 iterations, 0.3 standard errors from the maximum." in text
    assert "Raise max_iter." in text


def test_letter_follows_the_reference_distribution(make_fit) -> None:
    assert "P(>|z|)" in str(summary(make_fit()))
    assert "P(>|t|)" in str(summary(make_fit(use_t=True)))


def test_level_names_the_interval(make_fit) -> None:
    heading = next(line for line in str(summary(make_fit(), level=0.9)).splitlines() if "P(>|z|)" in line)
    assert heading.split()[-2:] == ["5%", "95%"]


def test_notebook_html_is_escaped_and_well_formed(make_fit) -> None:
    fit = make_fit(["Intercept", "<script>alert(1)</script>", "b & c"], formula="y ~ x + I(z < 3)")
    html = summary(fit)._repr_html_()
    assert "<script>" not in html
    assert "I(z &lt; 3)" in html
    open_tags: list[str] = []

    class Check(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            open_tags.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert open_tags.pop() == tag

    Check().feed(html)
    assert not open_tags


def test_arrays_have_no_formula(make_fit) -> None:
    assert re.match(r"y and X as arrays\n", str(summary(make_fit(formula=None))))


def test_theta_is_told(make_fit) -> None:
    assert re.search(r"Theta +1\.25000 \(std\. error 0\.1000\)", str(summary(make_fit(theta=1.25, theta_se=0.1))))


def test_a_million_rows_are_counted_in_full(make_fit) -> None:
    text = str(summary(make_fit(nobs=1_000_000, df_resid=999_997.0, n_dropped=1200)))
    assert "1,000,000 (1,200 dropped)" in text and "999,997" in text


@pytest.mark.parametrize(
    ("estimate", "error", "shown"),
    [
        (
            -3482258.6346,
            890420.3836,
            ["-3482259", "890420"],
        ),  # Longley: no decimals rather than rounded thousands
        (1e-17, 0.5, ["0.00000", "0.50000"]),  # what is zero but for rounding
        (3.5e11, 2.5e10, ["3.5000e+11", "2.5000e+10"]),
        (2.5e-12, 1e-13, ["2.5000e-12", "1.0000e-13"]),
        (1.5, 0.0, ["1.5000", "0.0000"]),
    ],
)
def test_the_standard_error_says_which_decimals_matter(make_fit, estimate, error, shown) -> None:
    fit = make_fit()
    fit.params.iloc[1], fit.bse.iloc[1] = estimate, error
    assert line_of(str(summary(fit)), "age")[1:3] == shown


def test_what_the_model_was_given_is_told(make_fit) -> None:
    inputs = {"weights": "w", "weights_kind": "sampling", "offset": "log(exposure)", "penalty": 0.5, "groups": "herd"}
    fit = make_fit(inputs=inputs, cov_kind="cluster", small_sample="clusters")
    text, html = summary(fit).text, summary(fit).html
    lines = text.split("\n")
    for label, value in (("Weights", "w (sampling)"), ("Offset", "log(exposure)"), ("Penalty", "0.5")):
        assert any(line.startswith(f"{label} ") and value in line for line in lines), label
    assert "cluster (herd; G/(G-1))" in text and "log(exposure)" in html
    plain, other = summary(make_fit()).text, summary(make_fit(inputs={"offset": "array"})).text
    assert "Weights" not in plain and "Penalty" not in plain
    assert any(line.split()[:2] == ["Offset", "array"] for line in other.splitlines())


def test_a_negative_binomial_at_its_limit_says_so(make_fit) -> None:
    text = str(summary(make_fit(theta=float("inf"), theta_se=None)))
    assert re.search(r"Family +negative_binomial at its limit, ", text)
    assert re.search(r"Theta +inf \(AIC and BIC count it\)", text)
