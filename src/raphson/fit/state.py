"""What a Fit consists of, and the small things that all its parts use."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from raphson.choices import Covariance, SmallSample
from raphson.data.watching import told
from raphson.errors import DataError, ModelError
from raphson.fit.uncertainty import Information, Uncertainty
from raphson.model.objective import Need
from raphson.newton.estimate import Estimate
from raphson.newton.path import Path
from raphson.status import Status

if TYPE_CHECKING:
    import pandas as pd

FALLEN, MOST_FALLEN = 0.05, 2.0
"""Where a search begins of a maximum at infinity: the log-likelihood has fallen by about so much, and no more."""


@lru_cache(maxsize=64)
def _labels(names: tuple[str, ...]) -> pd.Index:
    import pandas as pd

    return pd.Index(list(names))


class State:
    """The attributes that :class:`raphson.fit.fit.Fit` sets, for the classes it is made of.

    Attributes
    ----------
    names : of the n coefficients.
    family : settled, auxiliary parameters filled in.
    status : how the iteration ended.
    information_kind, cov_kind : which information and which covariance.
    small_sample : the factor of a cluster covariance: "full", "clusters" or None.
    inputs : what the model was given beside its formula, in words: "weights", "offset", "penalty" and the like.
    """

    names: tuple[str, ...]
    family: Any
    status: Status
    information_kind: Information
    cov_kind: Covariance
    small_sample: SmallSample | None
    inputs: dict[str, Any]
    formula: str | None
    method: str
    bias: str | None
    distance: float

    # What only a fit with its data has.
    _estimate: Estimate
    _uncertainty: Uncertainty
    _settled: Any
    _groups: np.ndarray | None
    _source: Any

    _model: Any
    """The model asked for; None in a loaded fit."""
    _n: int
    """How many coefficients the user sees."""
    _theta: np.ndarray
    """All parameters, auxiliary ones behind the coefficients, finite."""
    _free: np.ndarray
    _aliased: np.ndarray
    _infinite: np.ndarray
    _direction: np.ndarray | None
    _auxiliary: tuple[str, ...]
    _dispersion_rule: str | float
    _predictor: Any
    _schema: Any
    _steps: Path
    _floor: float

    if TYPE_CHECKING:
        # What the parts read of one another.
        @property
        def params(self) -> pd.Series: ...
        @property
        def bse(self) -> pd.Series: ...
        @property
        def use_t(self) -> bool: ...
        @property
        def dispersion(self) -> float: ...
        @property
        def df_resid(self) -> float: ...
        @property
        def deviance(self) -> float: ...
        @property
        def llf(self) -> float: ...
        @property
        def aic(self) -> float: ...
        @property
        def nobs(self) -> float: ...
        @property
        def has_intercept(self) -> bool: ...
        @property
        def _reference_df(self) -> float | None: ...
        @property
        def _estimates(self) -> np.ndarray: ...
        @property
        def _cov(self) -> np.ndarray: ...
        @property
        def _certifying(self) -> np.ndarray: ...
        @property
        def _follows(self) -> np.ndarray | None: ...
        @property
        def _effective(self) -> float: ...
        @property
        def _undetermined(self) -> np.ndarray: ...
        @property
        def remarks(self) -> list[str]: ...
        @property
        def _n_estimated(self) -> float: ...
        def _llf_of(self, settled: Any, rows: Any) -> float: ...
        @property
        def _rows(self) -> Any: ...
        @property
        def _designs(self) -> list[Any]: ...

    def _series(self, values: np.ndarray) -> pd.Series:
        import pandas as pd

        return pd.Series(np.asarray(values, dtype=float), index=_labels(tuple(self.names)).copy(), copy=False)

    def _named(self, mask: np.ndarray) -> list[str]:
        return [name for name, chosen in zip(self.names, mask, strict=True) if chosen]

    def _need_data(self, what: str) -> Any:
        if self._model is None:
            raise DataError(f"{what}: a loaded fit does not carry its data; fit again to get them")
        self._check_unchanged(what, whole=False)
        return self._model

    def _check_unchanged(self, what: str, whole: bool = True) -> None:
        """Refuse what would be worked out from other data than those of the fit."""
        watch = self._model.data.watch
        changed = [] if watch is None else watch.changed(whole)
        if changed:
            raise DataError(told(changed, what))

    @cached_property
    def _row_labels(self) -> Any:
        data = self._need_data("row labels").data
        return kept_labels(data.labels, data.index, len(self._model.y) + data.n_dropped)

    def _by_row(self, values: np.ndarray) -> Any:
        """Rows of (C, n) as a Series, or as a frame with a column for each level."""
        import pandas as pd

        if len(values) == 1:
            return pd.Series(values[0], index=self._row_labels)
        return pd.DataFrame(values.T, index=self._row_labels, columns=list(self.family.levels))

    def _check_finite(self, J: np.ndarray) -> None:
        """Refuse what concerns a parameter without a standard error."""
        known = np.isfinite(np.diagonal(self._cov))
        without = self._named(J.any(axis=0) & ~known)
        if without or not np.isfinite(J).all():
            who = ", ".join(without) or "a parameter"
            raise ModelError(
                f"constraint: {who} has no finite estimate with a standard error (aliased, infinite or at a bound); "
                "leave it out, or use lr_test if it is infinite"
            )

    def _check_ratios(self, what: str) -> None:
        """Refuse what compares likelihoods where there is none."""
        if self._need_data(what).weights_kind == "sampling":
            raise ModelError(
                f"{what}: with sampling weights the fit maximises a pseudo-likelihood, whose ratios are not χ²; use "
                "wald_test or score_test, which take the sandwich"
            )
        if self.family.quasi and self.family.dispersion_fixed:
            raise ModelError(
                f"{what}: the {self.family.name} loss is no likelihood, and its differences are not χ²; use wald_test, "
                "which takes the sandwich"
            )

    @property
    def _ground(self) -> ReferenceFit:
        """Where restricted maxima are looked for."""
        model = self._need_data("a restricted maximum")
        if not model.objective.comparable:
            raise ModelError(
                f"bias: with the {model.family.link.name} link of the {model.family.name} family Firth's adjusted "
                "scores are the gradient of no likelihood, so there are no likelihood ratios, profiles or score tests; "
                "use wald_test() and conf_int(), or bias='jeffreys', which maximises a penalised likelihood"
            )
        return ReferenceFit.of(self._estimate, model)


def kept_labels(labels: Any, index: np.ndarray | None, n: int) -> Any:
    """The index of the rows that were kept, of n in all."""
    import pandas as pd

    labels = pd.RangeIndex(n) if labels is None else labels
    return labels if index is None else labels[index]


@dataclass(frozen=True)
class ReferenceFit:
    """Where restricted maxima are looked for: the model asked for, and its maximum.

    Attributes
    ----------
    model : the model.
    objective : what is maximised.
    theta : (p,) the maximum; where it lies at infinity, finite parameters to begin at.
    free : (p,) mask of the parameters that move.
    top : ℓ at the maximum, or its supremum.
    interior : whether `theta` is the maximum.
    pace : (p,) a step that matters on the way to infinity; None where `theta` is the maximum.
    """

    model: Any
    objective: Any
    theta: np.ndarray
    free: np.ndarray
    top: float
    interior: bool
    pace: np.ndarray | None = None

    @property
    def metric(self) -> np.ndarray:
        """(p, p) observed information at `theta`, in which restricted maxima are near or far."""
        return self.objective.evaluate(self.theta, Need(kinds=("observed",))).information["observed"].matrix

    @staticmethod
    def of(found: Estimate, asked: Any) -> ReferenceFit:
        """The ground of an estimate of the model `asked`."""
        result = found.result
        top = result.evaluation.value
        if found.direction is None:
            return ReferenceFit.of_limit(found)
        # The limit's likelihood is the supremum of that of the model asked for, whose finite parameters are wanted.
        p = len(result.theta)
        if p < asked.objective.n_params:  # a family that ended in a simpler one: the limit is one of that
            asked = found.model.opened
        free, direction = result.free | (found.infinite[:p] != 0), found.direction[:p]
        start, pace = _near(asked, result.theta, direction, top)
        if pace is None:
            start = np.where(free, asked.start(Need()).theta, 0.0)
        return ReferenceFit(asked, asked.objective, start, free, top, False, pace)

    @staticmethod
    def of_limit(found: Estimate) -> ReferenceFit:
        """The ground of the model whose maximum an estimate is, its infinite parameters held where they are."""
        result = found.result
        model = found.model
        return ReferenceFit(model, model.objective, result.theta, result.free, result.evaluation.value, True)


def _near(asked: Any, theta: np.ndarray, direction: np.ndarray, top: float) -> tuple[np.ndarray, np.ndarray | None]:
    """Parameters this side of infinity where the likelihood has fallen a little, and how far they are from lower ones.

    The second is None where there are none.
    """
    origin, best, pace = asked.this_side(theta, direction), theta, None
    for part in 2.0 ** -np.arange(0.0, 45.0):
        there = origin + part * direction
        fallen = top - asked.objective.evaluate(there).value
        if np.isfinite(fallen) and fallen < MOST_FALLEN:
            best, pace = there, part * direction
        if fallen > FALLEN:
            break
    return best, pace
