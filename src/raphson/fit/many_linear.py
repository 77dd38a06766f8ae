"""Generalised linear models fitted to many groups: each one row of a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from raphson.data import Schema
from raphson.errors import ModelError, first_of
from raphson.fit.file import array, expect, is_texts, listed
from raphson.fit.many import Fits, common, without_data
from raphson.fit.means import MeanPredictor
from raphson.inference import delta
from raphson.model import families
from raphson.model.predictor import LinearPredictor
from raphson.newton.many.ends import Ends
from raphson.status import Status

if TYPE_CHECKING:
    import pandas as pd

    from raphson.fit.fit import Fit


@dataclass(frozen=True)
class GroupEstimates(Ends):
    """The estimates of G groups.

    Attributes
    ----------
    theta : (G, p) finite parameters; NaN where a group was refused.
    infinite : (G, p) sign of each infinite one, 0 for the others.
    aliased : (G, p) 1 for those that are linear combinations of earlier ones.
    direction : (G, p) in which the likelihood rises for ever; 0 where there is none.
    covariance : (G, p, p) of those that moved.
    bse : (G, p) standard errors, NaN where there are none.
    dispersion, df_resid, nobs : (G,).
    deviance : (G,); NaN where it has not been worked out yet.
    distance : (G,) to the maximum, in standard errors.
    n_iter : (G,).
    status : (G,) of :class:`Status`.
    message : (G,) of text; None for what the status says alone.
    """

    theta: np.ndarray
    infinite: np.ndarray
    aliased: np.ndarray
    direction: np.ndarray
    covariance: np.ndarray
    bse: np.ndarray
    dispersion: np.ndarray
    df_resid: np.ndarray
    nobs: np.ndarray
    deviance: np.ndarray
    distance: np.ndarray
    n_iter: np.ndarray
    status: np.ndarray
    message: np.ndarray

    @staticmethod
    def empty(count: int, p: int) -> GroupEstimates:
        """The table before anything is estimated: every group is refused."""
        shapes = {"covariance": (count, p, p)} | dict.fromkeys(
            ("theta", "infinite", "aliased", "direction"), (count, p)
        )
        values = {one.name: np.full(shapes.get(one.name, (count,)), np.nan) for one in fields(GroupEstimates)}
        for name in ("infinite", "aliased", "direction"):
            values[name] = np.zeros((count, p))
        bse, n_iter = np.full((count, p), np.nan), np.zeros(count, dtype=int)
        status, message = np.array([Status.REFUSED] * count, dtype=object), np.full(count, None, dtype=object)
        return GroupEstimates(**values | {"bse": bse, "n_iter": n_iter, "status": status, "message": message})

    def put(self, place: int, fit: Fit, remark: str) -> None:
        """Write the fit of one group, and a remark on its rows, into the table."""
        reading = fit._reading
        state = reading.state
        self.theta[place], self.infinite[place], self.aliased[place] = state.theta, state.infinite, state.aliased
        if state.direction is not None:
            self.direction[place] = state.direction
        # Parameters that move with the boundary of the domain have no normal errors: neither has a prediction.
        self.covariance[place] = reading.reduced_cov if state.follows is None else np.nan
        self.bse[place] = reading.bse
        self.dispersion[place], self.df_resid[place] = reading.dispersion, reading.df_resid
        self.nobs[place], self.deviance[place] = reading.nobs, reading.deviance
        self.distance[place], self.n_iter[place], self.status[place] = state.distance, reading.n_iter, state.status
        self.message[place] = "; ".join(one for one in (reading.message, remark) if one)


@dataclass(frozen=True)
class LinearGroups:
    """What the groups have in common.

    Attributes
    ----------
    family, schema : of the model.
    by : column whose values are the labels; None for an array.
    use_t : whether the dispersion is estimated, so that intervals use t.
    advice : the message of a status, where there is nothing else to say.
    deviance : (G, p) parameters to the deviances (G,) of their groups.
    remarks : (G, p) parameters and (G,) degrees of freedom to a remark on the spread of each group.
    """

    family: Any
    schema: Schema
    by: str | None
    use_t: bool
    advice: Callable[[Status], str]
    deviance: Callable[[np.ndarray], np.ndarray] | None = None
    remarks: Callable[[np.ndarray, np.ndarray], Sequence[str]] | None = None


def advice(status: Status) -> str:
    """The message of a status, where the model is not known."""
    return status.advice


class LinearFits(Fits):
    """Generalised linear models of many groups; see :class:`Fits`.

    Parameters
    ----------
    estimates : of each group.
    labels, names : of the groups (G,) and the coefficients (p,).
    groups : what they have in common.
    single : fits a group by itself, given its number.
    """

    glanced = ("status", "converged", "n_iter", "nobs", "df_resid", "deviance", "dispersion", "distance")

    def __init__(
        self,
        estimates: GroupEstimates,
        labels: Sequence[Any],
        names: tuple[str, ...],
        groups: LinearGroups,
        single: Callable[[int], Fit],
    ) -> None:
        self._found: Any = estimates
        self._curve: Any = groups
        self.labels, self.names = list(labels), names
        self._single: Any = single

    def _fit_of(self, place: int) -> Fit:
        return self._single(place)

    @property
    def _one(self) -> Any:
        return SimpleNamespace(family=self._curve.family, identified=True, linear=True)

    @property
    def _estimates(self) -> np.ndarray:
        found = self._found
        values = np.where(found.aliased > 0, np.nan, found.theta)
        with np.errstate(invalid="ignore"):
            return np.where(found.infinite != 0, np.inf * found.infinite, values)

    @cached_property
    def _covariances(self) -> np.ndarray:
        return self._found.covariance

    @cached_property
    def bse(self) -> pd.DataFrame:
        """Standard errors, as each group's fit has them."""
        return self._table(self._found.bse)

    @property
    def _reference_df(self) -> np.ndarray:
        return self._found.df_resid if self._curve.use_t else np.full(len(self), np.inf)

    @cached_property
    def converged(self) -> pd.Series:
        """Whether each group's estimate is a maximum of its likelihood."""
        return self._series(self._found.converged)

    @property
    def rss(self) -> NoReturn:  # type: ignore[override]
        """Refused: it is of curves."""
        raise ModelError("rss: it is of curves; the fits of a generalised linear model have deviance and dispersion")

    @property
    def residual_sd(self) -> NoReturn:  # type: ignore[override]
        """Refused: it is of curves."""
        raise ModelError("residual_sd: it is of curves; the root of dispersion is that of a gaussian model")

    @cached_property
    def deviance(self) -> pd.Series:
        """Deviance of each group."""
        known, compute = self._found.deviance, self._curve.deviance
        waiting = np.isnan(known) & self._found.converged
        if waiting.any() and compute is not None:
            known = np.where(waiting, compute(np.nan_to_num(self._found.theta)), known)
        return self._series(known)

    @cached_property
    def dispersion(self) -> pd.Series:
        """φ̂ of each group; 1 where the family fixes it."""
        return self._series(self._found.dispersion)

    @cached_property
    def nobs(self) -> pd.Series:
        """Number of observations of each group: rows of positive weight, or the sum of frequency weights."""
        return self._series(self._found.nobs)

    @cached_property
    def df_resid(self) -> pd.Series:
        """Residual degrees of freedom of each group."""
        return self._series(self._found.df_resid)

    @cached_property
    def distance(self) -> pd.Series:
        """Distance of each estimate from its maximum, in standard errors, as measured before the last full step."""
        return self._series(self._found.distance)

    @cached_property
    def message(self) -> pd.Series:
        """How each group's iteration ended, what to do about it, and what its rows lack."""
        found, remarks = self._found, self._curve.remarks
        plain = np.array([text is None for text in found.message])
        said = [""] * len(self)
        if remarks is not None and plain.any():
            said = remarks(np.nan_to_num(found.theta), found.df_resid)
        told = [
            text if text is not None else "; ".join(one for one in (self._curve.advice(status), more) if one)
            for text, status, more in zip(found.message, found.status, said, strict=True)
        ]
        return self._series(told)

    @cached_property
    def _undetermined(self) -> np.ndarray:
        return ((self._found.aliased > 0) & (self._found.infinite == 0)).any(axis=1)

    @property
    def open_groups(self) -> str:
        """A warning of the groups with aliased columns; empty if there are none."""
        return self._those(
            self._undetermined,
            "some columns are linear combinations of earlier ones, as where a level is missing: they have no estimate",
        )

    @property
    def separations(self) -> str:
        """A warning of the groups whose responses are separated; empty if there are none."""
        return self._those(self._found.status == Status.SEPARATED, Status.SEPARATED.advice)

    @property
    def failures(self) -> str:
        """A warning of the groups that did not converge for another reason than separation; empty if all did."""
        lost = ~self._found.converged & (self._found.status != Status.SEPARATED)
        kinds = first_of(dict.fromkeys(status.value for status in self._found.status[lost]))
        return self._those(lost, f"the fit did not converge ({kinds})")

    def _those(self, which: np.ndarray, what: str) -> str:
        if not which.any():
            return ""
        first = self.labels[int(np.flatnonzero(which)[0])]
        return f"in {np.count_nonzero(which)} of {len(self)} groups, such as {first!r}, {what}. See .message"

    def _means(self, place: int) -> MeanPredictor:
        found = self._found
        V, moved = found.covariance[place], found.direction[place]
        known = not np.isnan(V).all()
        root = delta.covariance_root(V) if known else np.full((1, len(self.names)), np.nan)
        theta, df = found.theta[place], float(found.df_resid[place]) if self._curve.use_t else None
        predictor = LinearPredictor((len(self.names),), (0,))
        direction = moved if moved.any() else None
        return MeanPredictor(self._curve.family, predictor, theta, direction, root, float(found.dispersion[place]), df)

    def _body(self) -> dict[str, Any]:
        texts = {"message": self.message.tolist(), "status": None}
        values = {one.name: getattr(self._found, one.name) for one in fields(GroupEstimates) if one.name not in texts}
        values["deviance"] = self.deviance.to_numpy()
        return {
            "family": self._curve.family.to_dict(),
            "use_t": self._curve.use_t,
            "message": texts["message"],
            "found": {name: listed(value) for name, value in values.items()},
        }

    @staticmethod
    def loaded(body: Mapping[str, Any]) -> LinearFits:
        """The fits that a file describes; every part of it is checked."""
        labels, names, by, schema, status = common(body)
        G, p = len(labels), len(names)
        expect(isinstance(body["use_t"], bool), "use_t: expected true or false")
        expect(is_texts(body["message"], different=False) and len(body["message"]) == G, "message: expected texts")
        expect(tuple(names) == tuple(schema.names), "names: other columns")
        shapes = {"covariance": (G, p, p)} | dict.fromkeys(("theta", "infinite", "aliased", "direction", "bse"), (G, p))
        numbers = {
            one.name: array(body["found"][one.name], shapes.get(one.name, (G,)), one.name)
            for one in fields(GroupEstimates)
            if one.name not in ("status", "message")
        }
        numbers["n_iter"] = numbers["n_iter"].astype(int)
        found = GroupEstimates(**numbers, status=status, message=np.array(body["message"], dtype=object))
        groups = LinearGroups(families.from_dict(body["family"]), schema, by, body["use_t"], advice)
        return LinearFits(found, labels, tuple(names), groups, without_data)
