"""Tests of hypotheses about the coefficients (Wald, likelihood ratio, score), and of the model itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.choices import Information
from raphson.errors import ConvergenceWarning, ModelError, warn_user
from raphson.fit.nesting import check_nested, check_same_data
from raphson.fit.reading import Reading, reading_of
from raphson.fit.reference import ReferenceFit, check_likelihood, reference_of
from raphson.fit.uncertainty import INFORMATION, Uncertainty, per_copy
from raphson.inference import constraints, delta, hypotheses, intervals
from raphson.inference.functions import Combinations, ParameterFunction
from raphson.inference.hypotheses import Test
from raphson.inference.profile import Padded
from raphson.inference.restricted import Maximum, maximum_on_curve, maximum_on_plane
from raphson.linalg import cholesky
from raphson.model.base import Model
from raphson.model.objective import Need
from raphson.numeric import one_blas_thread

if TYPE_CHECKING:
    import pandas as pd

    from raphson.fit.varying.comparing import Comparison


@dataclass(frozen=True)
class Hypothesis:
    """q equations h(θ) = 0 in the coefficients.

    Attributes
    ----------
    function : the left-hand side, with its derivatives; h is `function` − `value`.
    value : (q,) of the function under the hypothesis.
    text : the equations as text.
    linear : whether the function is linear.
    """

    function: Any
    value: np.ndarray
    text: str
    linear: bool


ROUNDING = 1e-9
"""A negative likelihood ratio below this fraction of the log-likelihood is rounding. That of a sum of n terms is about
√n ε, 2e-13 for a million rows; the rest is for terms that cancel within a row."""


def wald_test(fit: Reading, constraint: Any) -> Test:
    """Wald test of restrictions on the coefficients, hᵀ(J V Jᵀ)⁻¹h with V the fit's covariance.

    Parameters
    ----------
    constraint : text, ``"age = 0, lwt = smoke"``; a matrix R (q, p) for Rθ = 0; a pair (R, r) for Rθ = r; or a
        function h of the parameters in ``jax.numpy`` for h(θ) = 0, by name ``lambda p: p["a"] * p["b"] - 1`` or by
        position ``lambda p: p[0] * p[1] - 1``.

    Returns
    -------
    Test
        F on df_resid degrees of freedom if the dispersion is estimated, else χ².

    Raises
    ------
    ModelError
        If the constraint cannot be parsed, depends on no parameter or on one without a standard error, or has
        linearly dependent equations.

    Examples
    --------
    >>> import raphson as rp
    >>> fit = rp.glm("low ~ age + lwt + race", rp.datasets.load("births"), family="binomial")
    >>> fit.wald_test("race[T.other] = race[T.white]")
    Wald test of race[T.other] = race[T.white]: chi2(1) = 1.515, p = 0.2183
    """
    asked = _hypothesis(fit, constraint)
    theta = fit.estimates
    J = asked.function.jacobian(theta)
    fit.check_finite(J, "constraint")
    constraints.independent(J)
    gap = asked.function.value(theta) - asked.value
    chi2 = hypotheses.wald(gap, J, fit.cov)
    df = fit.df_of(J) if len(gap) == 1 else fit.joint_df(J)
    if isinstance(df, np.ndarray):
        df = float(df[0])
    return hypotheses.verdict("Wald test", asked.text, chi2, len(gap), df)


def t_test(fit: Reading, contrast: Any, level: float = 0.95) -> pd.DataFrame:
    """Estimate and test linear combinations of the coefficients, one by one.

    Parameters
    ----------
    contrast : text such as ``"age - 2*lwt"`` or ``"age = 1"``, a mapping of names to coefficients, a matrix (q, p),
        or a pair of a matrix and the values (q,) to test.
    level : coverage of the intervals.

    Returns
    -------
    DataFrame
        A row for each combination: estimate, std_error, statistic, p_value, conf_low, conf_high.

    Examples
    --------
    >>> import raphson as rp
    >>> fit = rp.glm("low ~ age + lwt", rp.datasets.load("births"), family="binomial")
    >>> fit.t_test("10*age + lwt")["estimate"].round(4).to_dict()
    {'10*age + lwt': -0.4107}
    """
    import pandas as pd

    found = constraints.linear(contrast, fit.names, "contrast")
    fit.check_finite(found.matrix, "contrast")
    values = Combinations(found.matrix, np.zeros(len(found.value)), found.texts).value(fit.estimates)
    root = delta.covariance_root(fit.cov)
    errors = np.sqrt(np.einsum("rq,rq->q", root @ found.matrix.T, root @ found.matrix.T))
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = (values - found.value) / errors
    df = fit.df_of(found.matrix)
    ends = intervals.conf_int(values, errors, level, df)
    return pd.DataFrame(
        {
            "estimate": values,
            "std_error": errors,
            "statistic": statistic,
            "p_value": intervals.p_values(statistic, df),
            "conf_low": ends[:, 0],
            "conf_high": ends[:, 1],
        },
        index=[text.removesuffix(" = 0") for text in found.texts],
    )


def score_test(fit: Reading, constraint: Any) -> Test:
    """Score (Rao, Lagrange multiplier) test of restrictions on the coefficients.

    The Newton step δ = M⁻¹∇ℓ from the restricted maximum θ̃ approximates the way to the unrestricted one. The statistic
    is Wald's for Jδ, with the covariance at θ̃. With the model-based covariance it equals ∇ℓᵀM⁻¹∇ℓ/φ̂, with M the fit's
    kind of information; with a sandwich it is the robust test (Wooldridge 2010, section 12.6.2).

    Parameters
    ----------
    constraint : as for :meth:`wald_test`.

    Raises
    ------
    ModelError
        If the data do not determine the other parameters under the hypothesis.

    Warns
    -----
    ConvergenceWarning
        If the fit's kind of information is not positive definite under the hypothesis, so that another kind is used.
    """
    fit.at("score_test")
    asked, reference = _hypothesis(fit, constraint), reference_of(fit)
    found, J, q = _restricted(fit, asked, reference)
    if fit.compares_criteria:
        chi2 = _score_of_criterion(reference, found, asked.text)
        return hypotheses.verdict("Score test", asked.text, chi2, q, None, _named_theta(fit, reference, found.theta))
    kind, there = _definite_information(fit, reference, found.theta, asked.text)
    step = there.factor(kind, fit.dispersion).solve(found.score)[: fit.n]
    if fit.state.cov == "model":
        V = there.model_based(kind, fit.dispersion)
    else:
        V = there.robust(kind, fit.state.cov, fit.dispersion, fit.state.groups)
    chi2 = hypotheses.wald(J @ np.where(reference.free[: fit.n], step, 0.0), J, V)
    restricted = _named_theta(fit, reference, found.theta)
    return hypotheses.verdict("Score test", asked.text, chi2, q, fit.reference_df, restricted)


def _score_of_criterion(reference: ReferenceFit, found: Maximum, text: str) -> float:
    """∇Vᵀ M⁻¹ ∇V with minus the Hessian of the criterion, whose parameters are all there are."""
    need = Need(kinds=("observed", "expected"))
    at, free = reference.objective.evaluate(found.theta, need), reference.free
    for kind in need.kinds:
        factor = cholesky(at.information[kind].matrix[np.ix_(free, free)])
        if factor is not None:
            z = factor.half_solve(at.score[free])
            return float(z @ z)
        warn_user(
            f"score_test: the observed information is not positive definite at the maximum under {text}; used its "
            "eigenvalues' absolute values instead",
            ConvergenceWarning,
        )
    raise ModelError(
        f"score_test: under {text} the data do not determine all other parameters; use wald_test or lr_test"
    )


def _definite_information(
    fit: Reading, reference: ReferenceFit, theta: np.ndarray, text: str
) -> tuple[Information, Uncertainty]:
    """The fit's kind of information at the restricted maximum, or another kind that is positive definite there.

    Far from the estimate the observed information may be indefinite. The expected information and the outer product
    are covariances of the score everywhere.
    """
    at, asked = fit.at("score_test"), fit.state.information
    kinds: tuple[Information, ...] = (asked, "expected", "opg")
    for kind in dict.fromkeys(kinds):
        try:
            evaluation = reference.objective.evaluate(theta, Need(kinds=() if kind == "opg" else (kind,)))
            result = replace(at.estimate.result, evaluation=evaluation, free=reference.free, root=False)
            there = Uncertainty(replace(at.estimate, model=reference.model, result=result), at.fitted, fit.n)
            kept = there.factor(kind, fit.dispersion).kept
        except ModelError:
            continue  # a user's likelihood may have no expected information
        if kept[reference.free].all():
            if kind != asked:
                warn_user(
                    f"score_test: the {asked} information is not positive definite at the maximum under {text}; "
                    f"used the {kind} information instead",
                    ConvergenceWarning,
                )
            return kind, there
    raise ModelError(
        f"score_test: under {text} the data do not determine all other parameters, so the statistic is not χ² "
        "(Davies 1987); use wald_test or lr_test, or fix those parameters too"
    )


def lr_test(fit: Reading, smaller: Any, nested: bool = False, bootstrap: int = 0, seed: int | None = None) -> Test:
    """Likelihood-ratio test against a smaller model: (D₀ − D₁)/(q φ̂) as F if φ is estimated, else χ².

    Where coefficients vary it is twice the difference of the criteria. A variance that the smaller model lacks is 0
    under the hypothesis, at the edge: the p-value is then of the mixture of two χ² with equal probabilities, of which
    the smaller one has a degree of freedom less. (For a smooth function it is conservative.) For several such variances
    the ratio is to be simulated, by `bootstrap`.

    Parameters
    ----------
    smaller : the fit of a model nested in this one, on the same rows; or a constraint, as for :meth:`wald_test`,
        under which this model is maximised.
    nested : your assurance that the smaller model is nested in this one, where that cannot be checked. The check
        compares the designs; for likelihoods of your own it searches for parameters of this model that give each row
        the log-likelihood of the smaller one.
    bootstrap : number of data sets drawn from the smaller fit, to which both models are fitted; 0 for χ² or F. With k
        of B ratios as large as that of the data, the p-value is (1 + k)/(1 + B).
    seed : of the random numbers of `bootstrap`.

    Raises
    ------
    ModelError
        If the models are not nested, or have no likelihood to compare (sampling weights, a ridge penalty); or if the
        smaller model has the higher likelihood, so that this fit is not at its maximum.
    DataError
        If they were fitted to different rows.

    Examples
    --------
    >>> import raphson as rp
    >>> births = rp.datasets.load("births")
    >>> fit = rp.glm("low ~ age + lwt", births, family="binomial")
    >>> fit.lr_test(rp.glm("low ~ lwt", births, family="binomial"))
    Likelihood-ratio test of low ~ lwt: chi2(1) = 1.567, p = 0.2106
    >>> fit.lr_test("age = 0")
    Likelihood-ratio test of age = 0: chi2(1) = 1.567, p = 0.2106
    """
    other = reading_of(smaller)
    if bootstrap:
        return _simulated(fit, other, nested, bootstrap, seed)
    if other is not None and (fit.compares_criteria or other.compares_criteria):
        return _lr_of_criteria(fit, other)
    check_likelihood(fit, "lr_test")
    reference = reference_of(fit)
    if other is not None:
        return _lr_of_fits(fit, reference, other, nested)
    asked = _hypothesis(fit, smaller)
    found, _, q = _restricted(fit, asked, reference)
    chi2 = 2.0 * (reference.top - found.value) / fit.ratio_dispersion
    return likelihood_ratio(fit, reference, asked.text, chi2, q, _named_theta(fit, reference, found.theta))


def likelihood_ratio(
    fit: Reading, reference: ReferenceFit, text: str, chi2: float, q: int, restricted: Any = None
) -> Test:
    """The likelihood-ratio test with statistic `chi2` against the maximum of a fit."""
    chi2 = _not_negative(chi2, abs(reference.top) / fit.ratio_dispersion)
    return hypotheses.verdict("Likelihood-ratio test", text, chi2, q, fit.reference_df, restricted)


def _not_negative(chi2: float, top: float) -> float:
    """A likelihood ratio, which is 0 up to rounding if it is below; `top` is the size of what was subtracted."""
    if chi2 < -ROUNDING * max(top, 1e3):
        raise ModelError(
            "lr_test: expected a smaller model with a log-likelihood no higher than this fit's; got one that is "
            f"{-0.5 * chi2:.3g} higher. Either the responses or their scales differ, or this fit is not at its global "
            "maximum; then fit it again with start= near the smaller model's estimates"
        )
    return max(chi2, 0.0)


def _lr_of_criteria(fit: Reading, smaller: Reading) -> Test:
    """The test where coefficients vary in one of the fits: a variance of 0 is at the edge of what it can be."""
    mixed = comparison(fit, smaller).mixed
    chi2 = _not_negative(2.0 * (fit.llf - smaller.llf), abs(fit.llf))
    if chi2 < ROUNDING * max(abs(fit.llf), 1.0):
        chi2 = 0.0  # the estimate is that of the smaller model, and χ²(0) is no less
    return hypotheses.mixed_verdict("Likelihood-ratio test", text_of(smaller), chi2, mixed, smaller.params)


def _simulated(fit: Reading, smaller: Reading | None, nested: bool, n: int, seed: int | None) -> Test:
    """The test whose distribution under the smaller fit is simulated."""
    from raphson.fit.simulated_ratio import simulated_ratio

    if smaller is None:
        raise ModelError("smaller: expected a fit with bootstrap=; got a constraint. Fit the smaller model too")
    if fit.compares_criteria or smaller.compares_criteria:
        q = comparison(fit, smaller).df
    else:
        check_likelihood(fit, "lr_test")
        check_likelihood(smaller, "lr_test")
        q = check_nested(fit, smaller, nested)
    return simulated_ratio(fit, smaller, q, text_of(smaller), n, seed)


def comparison(fit: Reading, smaller: Reading) -> Comparison:
    """What the smaller of two fits lacks, where coefficients vary in one of them.

    Raises
    ------
    ModelError, DataError
    """
    from raphson.fit.varying.comparing import compared

    for one in (fit, smaller):
        check_likelihood(one, "lr_test")
    check_same_data(fit, smaller)
    if not fit.compares_criteria:
        raise ModelError(
            "smaller: expected a model nested in this fit, in which no coefficients vary; they do in the other. Call "
            "lr_test on the larger fit"
        )
    return compared(fit, smaller)


def text_of(smaller: Reading) -> str:
    """The hypothesis that a smaller fit is."""
    return smaller.state.formula or f"the smaller model ({', '.join(smaller.names)})"


def _lr_of_fits(fit: Reading, reference: ReferenceFit, smaller: Reading, nested: bool) -> Test:
    bias = fit.state.bias or smaller.state.bias
    if bias is not None:
        raise ModelError(
            f"smaller: expected a constraint, such as 'x = 0'; got a fit. With bias={bias!r} each fit has its own "
            "penalty, so two fits are not comparable (Heinze and Schemper 2002)"
        )
    check_likelihood(smaller, "lr_test")
    q = check_nested(fit, smaller, nested)
    if fit.use_t:
        chi2 = 2.0 * (reference.top - reference_of(smaller).top) / fit.dispersion
    else:
        chi2 = 2.0 * (fit.llf - smaller.llf)
    return likelihood_ratio(fit, reference, text_of(smaller), chi2, q, smaller.params)


def _hypothesis(fit: Reading, constraint: Any) -> Hypothesis:
    if callable(constraint):
        function = ParameterFunction(constraint, fit.names, "constraint")
        value = function.value(fit.estimates)
        text = f"{getattr(constraint, '__name__', 'h').replace('<lambda>', 'h')}(params) = 0"
        return Hypothesis(function, np.zeros(len(value)), text, False)
    found = constraints.linear(constraint, fit.names)
    function = Combinations(found.matrix, np.zeros(len(found.value)), found.texts)
    return Hypothesis(function, found.value, ", ".join(found.texts), True)


def _restricted(fit: Reading, asked: Hypothesis, reference: ReferenceFit) -> tuple[Maximum, np.ndarray, int]:
    """The maximum under a hypothesis, its Jacobian there (q, n), and q."""
    theta, n = reference.theta, fit.n
    rows = asked.function.jacobian(theta[:n])
    held = fit.named(rows.any(axis=0) & ~reference.free[:n])
    if held:
        raise ModelError(
            f"constraint: expected estimated parameters; {', '.join(held)} was not estimated (aliased or fixed). "
            "Leave it out"
        )
    constraints.independent(rows[:, reference.free[:n]])
    function = Padded(asked.function, n, len(theta))
    found = _maximum(asked, function, reference)
    if reference.awake is not None:  # the restriction may have moved a maximum off the edge
        other = _maximum(asked, function, reference.awake)
        found = other if other.value > found.value else found
    if not found.converged:
        warn_user(
            f"not converged: the maximum under {asked.text} was not reached, so the test may be wrong",
            ConvergenceWarning,
        )
    return found, asked.function.jacobian(found.theta[:n]), len(rows)


def _maximum(asked: Hypothesis, function: Padded, reference: ReferenceFit) -> Maximum:
    theta, free = reference.theta, reference.free
    if asked.linear:
        J = function.jacobian(theta)
        return maximum_on_plane(reference.objective, J, asked.value, theta, free, reference.metric)
    with np.errstate(all="ignore"):
        return maximum_on_curve(reference.objective, function, asked.value, theta, free)


def _named_theta(fit: Reading, reference: ReferenceFit, theta: np.ndarray) -> Any:
    return fit.series(np.where(reference.free[: fit.n], theta[: fit.n], np.nan))


def informations_equal(fit: Reading) -> Test:
    """White's test with a p-value by χ²; see :func:`raphson.fit.bootstrap.information_matrix_test`."""
    import pandas as pd

    at, phi = fit.at("information_matrix_test"), fit.dispersion
    if at.asked.weights_kind == "sampling":
        raise ModelError(
            "information_matrix_test: not available with sampling weights, for which the information is no covariance; "
            "see fit.bse"
        )
    chi2, df = information_gap(fit, at.estimate.model, at.estimate.result.theta, at.estimate.result.free, phi)
    errors = {kind: _errors_by(fit, kind) for kind in INFORMATION}
    robust = at.uncertainty.robust(fit.state.information, "HC0", phi, None)
    table = pd.DataFrame(errors | {"sandwich": np.sqrt(np.diagonal(robust))}, index=list(fit.names))
    return hypotheses.verdict("Information matrix test", "equal informations", chi2, df, None, None, table)


def information_gap(fit: Reading, model: Model, theta: np.ndarray, free: np.ndarray, phi: float) -> tuple[float, int]:
    """White's statistic and its degrees of freedom, at the estimate of a fit's model or of a replicate."""
    rows = model.rows(theta)
    score, information = per_copy(rows.score, model.copies), per_copy(rows.observed, model.copies)
    more = None
    if fit.use_t:
        # φ̂ solves Σ (w r²/φ − 1) = 0. These terms are projected out like the scores, as φ was estimated too.
        mean = rows.mean[0]
        weight = per_copy(model.row_weight, model.copies)
        squares = weight * (model.y - mean) ** 2 / fit.family.variance(mean) / phi
        more = (squares - 1.0)[:, None]
    # QR of 40 blocks of 1,255 × 231 takes 0.4 s of processor time with one BLAS thread, and 10 s with two, which wait
    # for each other.
    with one_blas_thread():
        return hypotheses.information_matrix(
            model.designs(theta), score / phi, information / phi, free, model.copies, more
        )


def _errors_by(fit: Reading, kind: Information) -> np.ndarray:
    try:
        return np.sqrt(np.diagonal(fit.at("a covariance").uncertainty.model_based(kind, fit.dispersion)))
    except ModelError:
        return np.full(fit.n, np.nan)
