"""Tests of a fit: Wald, likelihood ratio, score, and of the model itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.errors import ConvergenceWarning, ModelError, warn_user
from raphson.fit.anova import check_nested
from raphson.fit.state import State
from raphson.fit.uncertainty import INFORMATION, Information, Uncertainty, per_copy
from raphson.inference import constraints, delta, hypotheses, intervals
from raphson.inference.functions import Combinations, ParameterFunction
from raphson.inference.hypotheses import Test
from raphson.inference.profile import Padded
from raphson.inference.restricted import Maximum, maximum_on_curve, maximum_on_plane
from raphson.model.objective import Need

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Hypothesis:
    """q equations h(θ) = 0 in the coefficients.

    Attributes
    ----------
    function : h + value, with its derivatives.
    value : (q,) what it equals under the hypothesis.
    text : in words.
    linear : whether it is linear.
    """

    function: Any
    value: np.ndarray
    text: str
    linear: bool


ROUNDING = 1e-9
"""A likelihood ratio below zero by no more than this share of the log-likelihood is rounding."""


class Testing(State):
    """The part of a Fit that tests hypotheses about its parameters."""

    # -- hypotheses --------------------------------------------------------------------------------------------

    def wald_test(self, constraint: Any) -> Test:
        """Wald test of restrictions of the coefficients, hᵀ(J V Jᵀ)⁻¹h with V the fit's covariance.

        Parameters
        ----------
        constraint : words, ``"age = 0, lwt = smoke"``; a matrix R (q, p) for Rθ = 0, or the pair (R, r) for Rθ = r; or
            a function h of the parameters in ``jax.numpy``, for h(θ) = 0: ``lambda p: p["a"] * p["b"] - 1``, or by
            position, ``lambda p: p[0] * p[1] - 1``.

        Returns
        -------
        Test
            F on df_resid degrees of freedom where the dispersion is estimated, else χ².

        Raises
        ------
        ModelError
            If the constraint cannot be read, names no parameter, is about one without a standard error, or repeats
            itself.

        Examples
        --------
        >>> import raphson as rp
        >>> fit = rp.glm("low ~ age + lwt + race", rp.datasets.load("births"), family="binomial")
        >>> fit.wald_test("race[T.other] = race[T.white]")
        Wald test of race[T.other] = race[T.white]: chi2(1) = 1.515, p = 0.2183
        """
        asked = self._hypothesis(constraint)
        theta = self._estimates
        J = asked.function.jacobian(theta)
        self._check_finite(J)
        constraints.independent(J)
        gap = asked.function.value(theta) - asked.value
        chi2 = hypotheses.wald(gap, J, self._cov)
        return hypotheses.verdict("Wald test", asked.text, chi2, len(gap), self._reference_df)

    def t_test(self, contrast: Any, level: float = 0.95) -> pd.DataFrame:
        """Estimate and test linear combinations of the coefficients, one by one.

        Parameters
        ----------
        contrast : words such as ``"age - 2*lwt"`` or ``"age = 1"``, a mapping of names to coefficients, a matrix
            (q, p), or a pair of a matrix and the values (q,) to test.
        level : coverage of the intervals.

        Returns
        -------
        DataFrame
            A row for each: estimate, std_error, statistic (of the hypothesis), p_value, conf_low, conf_high.

        Examples
        --------
        >>> import raphson as rp
        >>> fit = rp.glm("low ~ age + lwt", rp.datasets.load("births"), family="binomial")
        >>> fit.t_test("10*age + lwt")["estimate"].round(4).to_dict()
        {'10*age + lwt': -0.4107}
        """
        import pandas as pd

        found = constraints.linear(contrast, self.names, "contrast")
        self._check_finite(found.matrix)
        values = Combinations(found.matrix, np.zeros(len(found.value)), found.texts).value(self._estimates)
        root = delta.covariance_root(self._cov)
        errors = np.sqrt(np.einsum("rq,rq->q", root @ found.matrix.T, root @ found.matrix.T))
        with np.errstate(divide="ignore", invalid="ignore"):
            statistic = (values - found.value) / errors
        ends = intervals.conf_int(values, errors, level, self._reference_df)
        return pd.DataFrame(
            {
                "estimate": values,
                "std_error": errors,
                "statistic": statistic,
                "p_value": intervals.p_values(statistic, self._reference_df),
                "conf_low": ends[:, 0],
                "conf_high": ends[:, 1],
            },
            index=[text.removesuffix(" = 0") for text in found.texts],
        )

    def score_test(self, constraint: Any) -> Test:
        """Score (Rao, Lagrange multiplier) test of restrictions of the coefficients.

        At the maximum θ̃ under the restriction, one Newton step δ = M⁻¹∇ℓ is what the data would still have; the
        statistic is that of Wald for Jδ with the covariance at θ̃. With the model's covariance that is ∇ℓᵀM⁻¹∇ℓ/φ̂ with
        M the fit's kind of information; with a sandwich it is the robust test (Wooldridge 2010, section 12.6.2).

        Parameters
        ----------
        constraint : as for :meth:`wald_test`.

        Raises
        ------
        ModelError
            If under the hypothesis the data do not determine the other parameters.

        Warns
        -----
        ConvergenceWarning
            If the fit's kind of information is not positive definite under the hypothesis, and another takes its place.
        """
        self._need_data("a score test")
        asked = self._hypothesis(constraint)
        found, J, q = self._restricted(asked)
        ground = self._ground
        kind, there = self._curved(found.theta, asked.text)
        step = there.factor(kind, self.dispersion).solve(found.score)[: self._n]
        if self.cov_kind == "model":
            V = there.model_based(kind, self.dispersion)
        else:
            V = there.robust(kind, self.cov_kind, self.dispersion, self._groups)
        chi2 = hypotheses.wald(J @ np.where(ground.free[: self._n], step, 0.0), J, V)
        return hypotheses.verdict("Score test", asked.text, chi2, q, self._reference_df, self._named_theta(found.theta))

    def _curved(self, theta: np.ndarray, text: str) -> tuple[Information, Uncertainty]:
        """The fit's kind of information at the restricted maximum, or one that is positive definite there.

        Far from the estimate the observed information may be indefinite, and its inverse no covariance; the expected
        one and the outer product of the scores are covariances of the score wherever they are taken.
        """
        ground, asked = self._ground, self.information_kind
        for kind in dict.fromkeys((asked, "expected", "opg")):
            try:
                evaluation = ground.objective.evaluate(theta, Need(kinds=() if kind == "opg" else (kind,)))
                result = replace(self._estimate.result, evaluation=evaluation, free=ground.free, root=False)
                there = Uncertainty(replace(self._estimate, model=ground.model, result=result), self._settled, self._n)
                kept = there.factor(kind, self.dispersion).kept
            except ModelError:
                continue  # a likelihood of one's own may have no expected information
            if kept[ground.free].all():
                if kind != asked:
                    warn_user(
                        f"score_test: the {asked} information is not positive definite at the maximum under {text}; "
                        f"the {kind} one is used",
                        ConvergenceWarning,
                    )
                return kind, there
        raise ModelError(
            f"score_test: under {text} the data do not determine all other parameters, and the score test has no "
            "distribution (Davies 1987); use wald_test or lr_test, or hold those parameters too"
        )

    def lr_test(self, smaller: Any, nested: bool = False) -> Test:
        """Likelihood-ratio test against a smaller model: (D₀ − D₁)/(q φ̂) as F where φ is estimated, else χ².

        Parameters
        ----------
        smaller : the fit of a model nested in this one, on the same rows; or a constraint, as for :meth:`wald_test`,
            under which this model is then maximised.
        nested : your word that the smaller model is nested in this one, where that cannot be seen. It is seen on the
            designs, and of likelihoods of your own on the rows: some parameters of this model have to give each row
            the log-likelihood that the smaller one gives it.

        Raises
        ------
        ModelError
            If the models are not nested, or have no likelihood to compare: sampling weights, a ridge penalty. If the
            smaller model has the higher likelihood, so that one of the fits is not at its maximum.
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
        self._check_likelihood("a likelihood-ratio test")
        if isinstance(smaller, Testing):
            return self._lr_of_fits(smaller, nested)
        asked = self._hypothesis(smaller)
        found, _, q = self._restricted(asked)
        chi2 = 2.0 * (self._ground.top - found.value) / self.dispersion
        return self._lr(asked.text, chi2, q, self._named_theta(found.theta))

    def _lr(self, text: str, chi2: float, q: int, restricted: Any = None) -> Test:
        if chi2 < -ROUNDING * max(abs(self._ground.top) / self.dispersion, 1e3):
            raise ModelError(
                f"lr_test: the smaller model has the higher log-likelihood (by {-0.5 * chi2:.3g}), which no nested "
                "model has at the maxima: they are not of the same response and scale, or this fit is not at its "
                "global maximum; then fit again with start= near the smaller model's estimates"
            )
        chi2 = max(chi2, 0.0)
        return hypotheses.verdict("Likelihood-ratio test", text, chi2, q, self._reference_df, restricted)

    def _lr_of_fits(self, smaller: Any, nested: bool) -> Test:
        if self.bias is not None or smaller.bias is not None:
            raise ModelError(
                f"smaller: with bias={self.bias or smaller.bias!r} each fit has a penalty of its own, so two are not "
                "comparable; pass what the smaller model restricts instead, as in lr_test('x = 0') (Heinze and "
                "Schemper 2002)"
            )
        smaller._check_likelihood("a likelihood-ratio test")
        q = check_nested(self, smaller, nested)
        if self.use_t:
            chi2 = 2.0 * (self._ground.top - smaller._ground.top) / self.dispersion
        else:
            chi2 = 2.0 * (self.llf - smaller.llf)
        return self._lr(
            str(smaller.formula or "") or f"the smaller model ({', '.join(smaller.names)})", chi2, q, smaller.params
        )

    def _check_likelihood(self, what: str) -> None:
        self._check_ratios(what)
        if self._model.penalty is not None:
            raise ModelError(
                f"{what}: a fit with penalty= has no χ² likelihood ratio; use wald_test, or fit without it"
            )

    def _hypothesis(self, constraint: Any) -> Hypothesis:
        if callable(constraint):
            function = ParameterFunction(constraint, self.names, "constraint")
            value = function.value(self._estimates)
            text = f"{getattr(constraint, '__name__', 'h').replace('<lambda>', 'h')}(params) = 0"
            return Hypothesis(function, np.zeros(len(value)), text, False)
        found = constraints.linear(constraint, self.names)
        function = Combinations(found.matrix, np.zeros(len(found.value)), found.texts)
        return Hypothesis(function, found.value, ", ".join(found.texts), True)

    # -- maxima under a restriction ----------------------------------------------------------------------------

    def _restricted(self, asked: Hypothesis) -> tuple[Maximum, np.ndarray, int]:
        """The maximum under a hypothesis, its Jacobian there (q, n), and q."""
        ground = self._ground
        theta, n = ground.theta, self._n
        rows = asked.function.jacobian(theta[:n])
        held = self._named(rows.any(axis=0) & ~ground.free[:n])
        if held:
            raise ModelError(f"constraint: {', '.join(held)} was not estimated (aliased or held); leave it out")
        constraints.independent(rows[:, ground.free[:n]])
        function = Padded(asked.function, n, len(theta))
        if asked.linear:
            found = maximum_on_plane(
                ground.objective, function.jacobian(theta), asked.value, theta, ground.free, ground.metric
            )
        else:
            with np.errstate(all="ignore"):
                found = maximum_on_curve(ground.objective, function, asked.value, theta, ground.free)
        if not found.converged:
            warn_user(
                f"not converged: the maximum under {asked.text} was not reached; the test may be off",
                ConvergenceWarning,
            )
        return found, asked.function.jacobian(found.theta[:n]), len(rows)

    def _named_theta(self, theta: np.ndarray) -> Any:
        return self._series(np.where(self._ground.free[: self._n], theta[: self._n], np.nan))

    # -- the information itself --------------------------------------------------------------------------------

    def information_matrix_test(self) -> Test:
        """White's test, its statistic referred to χ²; see :meth:`raphson.fit.fit.Fit.information_matrix_test`."""
        import pandas as pd

        model, estimate = self._need_data("information_matrix_test"), self._estimate
        if model.weights_kind == "sampling":
            raise ModelError(
                "information_matrix_test: with sampling weights no information is a covariance; see fit.bse"
            )
        phi = self.dispersion
        chi2, df = self._information_gap(estimate.model, estimate.result.theta, estimate.result.free, phi)
        errors = {kind: self._errors_by(kind) for kind in INFORMATION}
        errors["sandwich"] = np.sqrt(np.diagonal(self._uncertainty.robust(self.information_kind, "HC0", phi, None)))
        table = pd.DataFrame(errors, index=list(self.names))
        text = "equal informations"
        return hypotheses.verdict("Information matrix test", text, chi2, df, None, None, table)

    def _information_gap(self, model: Any, theta: np.ndarray, free: np.ndarray, phi: float) -> tuple[float, int]:
        """White's statistic and its degrees of freedom at an estimate of a model like this fit's."""
        rows = model.rows(theta)
        score, information = per_copy(rows.score, model.copies), per_copy(rows.observed, model.copies)
        more = None
        if self.use_t:
            # φ̂ comes from Σ (w r²/φ − 1) = 0: that it was estimated too is taken out as the scores are.
            mean = rows.mean[0]
            squares = model.row_weight * (model.y - mean) ** 2 / self.family.variance(mean) / phi
            more = (squares - 1.0)[:, None]
        return hypotheses.information_matrix(
            model.designs(theta), score / phi, information / phi, free, model.copies, more
        )

    def _errors_by(self, kind: Any) -> np.ndarray:
        try:
            return np.sqrt(np.diagonal(self._uncertainty.model_based(kind, self.dispersion)))
        except ModelError:
            return np.full(self._n, np.nan)
