"""The estimates of a fit with their covariances, standard errors, tests and digits."""

# pyright: strict, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportMissingTypeStubs=false, reportConstantRedefinition=false

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from raphson.cached import cached_property
from raphson.choices import Information
from raphson.errors import ModelError, RankWarning, warn_user
from raphson.fit.goodness import Goodness
from raphson.fit.uncertainty import NotPositiveDefinite
from raphson.lazy import Lazy
from raphson.status import Status

if TYPE_CHECKING:
    import pandas as pd

    from raphson.fit import determined
    from raphson.inference import delta
else:
    determined, delta = Lazy("raphson.fit.determined"), Lazy("raphson.inference.delta")


@lru_cache(maxsize=64)
def _labels(names: tuple[str, ...]) -> pd.Index:
    import pandas as pd

    return pd.Index(list(names))


@dataclass(frozen=True, eq=False)
class Estimates(Goodness):
    """The coefficients of a fit, and how well they are known; values are cached."""

    @property
    def _infinite(self) -> np.ndarray:
        return self.state.infinite[: self.n]

    @property
    def _left_out(self) -> np.ndarray:
        return self.state.aliased[: self.n] & (self._infinite == 0)

    def series(self, values: np.ndarray) -> pd.Series:
        """Values (n,) labelled by the coefficients."""
        import pandas as pd

        return pd.Series(np.asarray(values, dtype=float), index=_labels(self.names).view(), copy=False)

    def square(self, values: np.ndarray) -> pd.DataFrame:
        """Values (n, n) labelled by the coefficients."""
        import pandas as pd

        return pd.DataFrame(values, index=list(self.names), columns=list(self.names))

    def named(self, mask: np.ndarray) -> list[str]:
        """The names of the coefficients that a mask (n,) selects."""
        return [name for name, chosen in zip(self.names, mask, strict=True) if chosen]

    @cached_property
    def params(self) -> pd.Series:
        """Estimates by name; NaN if aliased, infinite under separation."""
        values = self.state.theta[: self.n].copy()
        infinite = self._infinite
        if self.state.aliased.any() or infinite.any():
            values[self.state.aliased[: self.n]] = np.nan
            values[infinite != 0] = np.inf * infinite[infinite != 0]
        return self.series(values)

    @property
    def estimates(self) -> np.ndarray:
        """(n,) estimates; NaN unless finite."""
        values = self.params.to_numpy()
        return np.where(np.isinf(values), np.nan, values)

    @cached_property
    def cov(self) -> np.ndarray:
        """(n, n) covariance of the estimates; NaN in the rows of those that have none."""
        return self._cut(self._finite(self.reduced_cov))

    @cached_property
    def reduced_cov(self) -> np.ndarray:
        """Covariance of the coefficients that the iteration moved; where some are infinite, in the limiting model."""
        state, model_based = self.state, self.state.cov == "model"
        uncertainty = self.at("a covariance").uncertainty
        if not (model_based and uncertainty.at_hand(state.information)):
            self.at("a covariance", whole=True)
        if model_based:
            return self._at_maximum(lambda: uncertainty.model_based(state.information, self.dispersion))
        return self._at_maximum(
            lambda: uncertainty.robust(state.information, state.cov, self.dispersion, state.groups, state.small_sample)
        )

    @cached_property
    def covariance_root(self) -> np.ndarray:
        """(r, n) Q of the covariance QᵀQ, NaN if there is none: what moved and has no error has not the error 0."""
        V = self.reduced_cov
        if V.size and np.isnan(V).all() and self.state.free[: self.n].any():
            return np.full((1, V.shape[1]), np.nan)
        return delta.covariance_root(V)

    @cached_property
    def certifying(self) -> np.ndarray:
        """(n, n) model-based covariance, which the certificate and the variance inflation factors use."""
        uncertainty = self.at("the certificate").uncertainty
        return self._finite(self._at_maximum(lambda: uncertainty.model_based("expected", self.dispersion)))

    def _at_maximum(self, covariance: Callable[[], np.ndarray]) -> np.ndarray:
        """A covariance; NaN where there is none, as the status or a warning says."""
        try:
            return covariance()
        except ModelError as error:
            if self.state.status in (Status.CONVERGED, Status.ROUNDING_FLOOR):
                if not isinstance(error, NotPositiveDefinite):
                    raise
                warn_user(f"standard errors are NaN: {error}", RankWarning)
            return np.full((self.n, self.n), np.nan)

    def _finite(self, V: np.ndarray) -> np.ndarray:
        """A matrix of the coefficients, NaN for infinite and undetermined ones."""
        out = np.array(V)
        if self._infinite.any() or self.state.undetermined.any():
            without = (self._infinite != 0) | self.state.undetermined
            out[without], out[:, without] = np.nan, np.nan
        return out

    def _cut(self, V: np.ndarray) -> np.ndarray:
        """A matrix of the coefficients, NaN for those that move with the boundary of the domain."""
        if self.state.follows is None:
            return V
        out, without = np.array(V), self.state.follows.any(axis=1)
        out[without], out[:, without] = np.nan, np.nan
        return out

    def check_finite(self, J: np.ndarray, argument: str) -> None:
        """Refuse a function with Jacobian J (q, n) that depends on a parameter without a standard error.

        Raises
        ------
        ModelError
        """
        known = np.isfinite(np.diagonal(self.cov))
        without = self.named(J.any(axis=0) & ~known)
        if without or not np.isfinite(J).all():
            which = ", ".join(without) or "a parameter"
            raise ModelError(
                f"{argument}: expected parameters with a standard error; {which} has none (aliased, infinite or at a "
                "bound). Leave it out, or use lr_test if it is infinite"
            )

    @cached_property
    def bse(self) -> pd.Series:
        """Standard errors."""
        return self.series(np.sqrt(np.maximum(self.cov.diagonal(), 0.0)))

    @cached_property
    def tvalues(self) -> pd.Series:
        """Estimates over their standard errors: t if the dispersion was estimated, else z."""
        errors = self.bse.to_numpy()
        with np.errstate(over="ignore"):
            return self.series(self.estimates / np.where(errors > 0, errors, np.nan))

    @cached_property
    def pvalues(self) -> pd.Series:
        """Two-sided p-values of the hypothesis that a coefficient is 0."""
        from raphson.inference.intervals import p_values

        return self.series(p_values(self.tvalues.to_numpy(), self.df_of()))

    @property
    def by_t(self) -> bool:
        """Whether estimates over their standard errors are compared with t."""
        return self.use_t

    def df_of(self, combinations: np.ndarray | None = None) -> float | np.ndarray | None:
        """Degrees of freedom of t for combinations (q, n) of the coefficients, by default for each of these.

        One number for all, or (q,); None for the normal distribution.
        """
        del combinations
        return self.reference_df

    def information(self, kind: Information) -> np.ndarray:
        """(n, n) Fisher information at the estimate, 1/φ̂ included.

        Raises
        ------
        ModelError
            If a loaded fit lacks it.
        """
        if self.state.at is None:
            M = self.state.saved["informations"][kind]
            if M is None:
                raise ModelError(f"information: the loaded fit has no {kind} information; fit again")
            return M
        uncertainty = self.at("information", whole=True).uncertainty
        return self._cut(self._finite(uncertainty.information(kind, self.dispersion)))

    @cached_property
    def score(self) -> pd.Series:
        """Gradient of the log-likelihood at the estimate, 1/φ̂ included; at a maximum it is 0 up to rounding."""
        score, n = self.at("score").estimate.result.evaluation.score, self.n
        gradient = np.zeros(n)
        gradient[: len(score)] = score[:n] / self.dispersion
        return self.series(np.where(self.state.free[:n], gradient, np.nan))

    @cached_property
    def digits(self) -> pd.Series:
        """Number of correct significant digits of each estimate, as far as the iteration can tell."""
        from raphson.inference.certificate import digits

        errors = np.sqrt(np.diagonal(self.certifying))
        return self.series(digits(self.estimates, errors, self.state.distance, self.state.floor))

    @cached_property
    def condition_number(self) -> float:
        """Condition number of √W J at the estimate, J = ∂η/∂θ, its columns scaled to length 1 (Belsley 1991).

        Above about 1e5 the data hardly distinguish some parameters. Infinite if they do not at all; NaN if no parameter
        was estimated.
        """
        return determined.condition_number(self.at("condition_number"), self.state.free[: self.n])
