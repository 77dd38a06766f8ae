"""Many independent curves fitted at once: the estimates of each as one row of a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from os import PathLike
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn, Self, overload

import numpy as np

from raphson.choices import Information, Interval, MissingInNew, Scale
from raphson.data import Schema, read_table
from raphson.data.native import in_library, library_of
from raphson.data.readers import is_pandas
from raphson.errors import DataError, ModelError, first_of
from raphson.fit import file
from raphson.fit.file import array, expect, is_count, is_list, is_number, is_texts, listed
from raphson.fit.means import MeanPredictor, Prediction
from raphson.fit.members import refuse_unknown
from raphson.fit.reading import kept_labels
from raphson.fit.uncertainty import INFORMATION
from raphson.inference import delta, intervals
from raphson.model import families
from raphson.model.curve.nonlinear import NonlinearPredictor
from raphson.model.curve.saved import saved_predictor
from raphson.model.glm.glm import PERFECT
from raphson.newton.many.problems import Solutions
from raphson.report.ratios import as_ratios, ratio_name
from raphson.sheets.sheet import Grid, InNotebook, Note, Sheet
from raphson.status import Status

if TYPE_CHECKING:
    import pandas as pd

    from raphson.fit.fit import Fit


MOST_SHOWN = 10
"""Groups that a notebook shows."""

QUANTILES = {"least": 0.0, "lower quartile": 0.25, "median": 0.5, "upper quartile": 0.75, "greatest": 1.0}
"""What is shown of the estimates' distribution over the groups."""


@dataclass(frozen=True)
class CurveOfGroups:
    """What predicting takes, beside the estimates of each group.

    Attributes
    ----------
    predictor, schema : from parameters to means, and from new data to what the curve reads.
    by : column whose values are the labels; None where each row of y is a curve.
    """

    predictor: NonlinearPredictor
    schema: Schema
    by: str | None


class Fits(InNotebook):
    """Fits of one model to many groups of rows, each with its own status.

    ``fits[label]`` fits that group again from its estimate and returns a full :class:`Fit`.

    Parameters
    ----------
    found : the solution of each group.
    labels : (G,) of the groups.
    names : (p,) of the parameters.
    n_rows : (G,) rows of positive weight in each group.
    squares : (G,) Σ w y² of each group.
    movable : (p,) mask of the parameters that were estimated.
    information : "expected" or "observed"; the information that the standard errors use.
    dispersion : φ if the user gave it; None for RSS/(n − p) of each group.
    single : fits a group, given by its number, from a start.
    curve : what the groups have in common.

    Examples
    --------
    >>> import raphson as rp
    >>> data = {"dose": [1, 2, 4, 8] * 2, "y": [2.0, 2.6, 3.0, 3.2, 4.1, 5.2, 5.9, 6.4], "plant": ["a"] * 4 + ["b"] * 4}
    >>> fits = rp.nls("y ~ top*dose/(half + dose)", data, start={"half": 1.0}, by="plant")
    >>> fits.params.round(3)
         top   half
    a  3.526  0.741
    b  6.943  0.687
    """

    glanced: ClassVar[tuple[str, ...]] = (
        *("status", "converged", "n_iter", "nobs", "df_resid", "deviance", "dispersion"),
        *("rss", "residual_sd", "distance"),
    )
    """The columns of :meth:`glance`."""
    _library: str | None = None

    def __init__(
        self,
        found: Solutions,
        labels: Sequence[Any],
        names: tuple[str, ...],
        n_rows: np.ndarray,
        squares: np.ndarray,
        movable: np.ndarray,
        information: Information,
        dispersion: float | None,
        single: Callable[[int, np.ndarray], Fit],
        curve: CurveOfGroups,
    ) -> None:
        self._found, self.names = found, names
        self.labels = list(labels)
        self._n_rows, self._squares, self._movable = n_rows, squares, movable
        self.information_kind, self._dispersion = information, dispersion
        self._single, self._curve = single, curve

    if not TYPE_CHECKING:  # otherwise a type checker would accept any name

        def __getattr__(self, name: str) -> Any:
            from raphson.fit.fit import Fit

            refuse_unknown(self, name, of_one=[one for one in dir(Fit) if not one.startswith("_")])

    def in_library_of(self, data: Any) -> Self:
        """These fits, which then give tables in the library of data frames that the data are of."""
        self._library = library_of(data)
        return self

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, label: Any) -> Fit:
        fit = self._fit_of(self._place(label))
        fit._library = self._library
        return fit

    def _fit_of(self, place: int) -> Fit:
        return self._single(place, self._found.theta[place])

    def _place(self, label: Any) -> int:
        if label not in self._places:
            raise DataError(f"group: expected the label of a group, such as {self.labels[:5]!r}; got {label!r}")
        return self._places[label]

    @cached_property
    def _places(self) -> dict[Any, int]:
        return {label: place for place, label in enumerate(self.labels)}

    @cached_property
    def params(self) -> pd.DataFrame:
        """Estimates: a row for each group, a column for each parameter."""
        return self._table(self._estimates)

    @property
    def _estimates(self) -> np.ndarray:
        """(G, p) as they are shown."""
        return self._found.theta

    @cached_property
    def _covariances(self) -> np.ndarray:
        """(G, p, p)."""
        V = self._found.covariance(self.information_kind)
        if self._dispersion is not None:
            V = V / self._found.dispersion[:, None, None] * self._dispersion
        return V

    @cached_property
    def bse(self) -> pd.DataFrame:
        """Standard errors; NaN where a group did not converge, or a parameter is fixed or at a bound."""
        with np.errstate(invalid="ignore"):
            errors = np.sqrt(np.diagonal(self._covariances, axis1=1, axis2=2))
        known = (
            self._found.converged[:, None] & self._movable & ~self._found.held & (self.df_resid.to_numpy() > 0)[:, None]
        )
        return self._table(np.where(known, errors, np.nan))

    def conf_int(self, level: float = 0.95) -> pd.DataFrame:
        """Wald intervals with t on each group's residual degrees of freedom; columns (parameter, lower or upper)."""
        import pandas as pd

        df, places = np.unique(self._reference_df, return_inverse=True)
        reach = np.array([intervals.quantile(level, float(d)) for d in df])
        half = reach[places][:, None] * self.bse.to_numpy()
        both = np.stack([self.params.to_numpy() - half, self.params.to_numpy() + half], axis=-1)
        columns = pd.MultiIndex.from_product([self.names, ["lower", "upper"]])
        return pd.DataFrame(both.reshape(len(self), -1), index=self._index, columns=columns)

    @property
    def _reference_df(self) -> np.ndarray:
        """(G,) degrees of freedom of t; infinite for the normal."""
        return self.df_resid.to_numpy()

    @cached_property
    def status(self) -> pd.Series:
        """How each group's iteration ended: "converged", "step limit", …"""
        return self._series([status.value for status in self._found.status])

    @cached_property
    def converged(self) -> pd.Series:
        """Whether each group's estimate is a minimum of its sum of squares."""
        return self._series(self._found.converged)

    @cached_property
    def n_iter(self) -> pd.Series:
        """Number of steps tried for each group."""
        return self._series(self._found.n_iter)

    @cached_property
    def rss(self) -> pd.Series:
        """Weighted sum of squared residuals of each group."""
        return self._series(-2.0 * self._found.value)

    @cached_property
    def deviance(self) -> pd.Series:
        """Deviance of each group: of a curve its `rss`."""
        return self.rss

    @cached_property
    def dispersion(self) -> pd.Series:
        """φ̂ of each group."""
        known = self._dispersion
        return self._series(self._found.dispersion if known is None else np.full(len(self), known))

    @cached_property
    def nobs(self) -> pd.Series:
        """Number of rows of each group."""
        return self._series(self._n_rows)

    @cached_property
    def df_resid(self) -> pd.Series:
        """Number of rows minus number of estimated parameters."""
        return self._series(self._n_rows - np.count_nonzero(self._movable))

    @cached_property
    def residual_sd(self) -> pd.Series:
        """√(rss/df_resid)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self._series(np.sqrt(self.rss.to_numpy() / self.df_resid.where(self.df_resid > 0).to_numpy()))

    @cached_property
    def distance(self) -> pd.Series:
        """Distance of each estimate from the minimum, in standard errors."""
        return self._series(self._found.distance)

    @cached_property
    def message(self) -> pd.Series:
        """How each group's iteration ended and what to do about it."""
        estimated, rss = int(np.count_nonzero(self._movable)), self.rss.to_numpy()
        out = []
        for place, (status, rows) in enumerate(zip(self._found.status, self._n_rows, strict=True)):
            text = status.advice
            if rows < estimated:
                text = f"{rows} rows cannot determine {estimated} parameters; fix some with fixed=, or bring more data"
            elif self._undetermined[place]:
                text += f"; the data do not determine all parameters: see fits[{self.labels[place]!r}].remarks"
            if rows > estimated and not rss[place] > PERFECT * self._squares[place]:
                text += "; the curve passes through the data up to rounding, which is all that standard errors measure"
            out.append(text)
        return self._series(out)

    @cached_property
    def _undetermined(self) -> np.ndarray:
        """(G,) mask of the groups that converged and have an estimated parameter without a standard error."""
        open_ones = self.bse.isna().to_numpy() & self._movable & ~self._found.held
        return open_ones.any(axis=1) & self._found.converged & (self.df_resid.to_numpy() > 0)

    @property
    def open_groups(self) -> str:
        """A warning of the groups whose data do not determine all parameters; empty if there are none."""
        count = int(np.count_nonzero(self._undetermined))
        if not count:
            return ""
        first = self.labels[int(np.flatnonzero(self._undetermined)[0])]
        return (
            f"in {count} of {len(self)} groups the data do not determine all parameters; those have no standard error. "
            f"See .message, and fits[{first!r}].remarks for their names"
        )

    @overload
    def predict(
        self,
        new: Any,
        se: Literal[False] = False,
        interval: None = None,
        *,
        kind: Scale | None = None,
        missing: MissingInNew = "nan",
    ) -> pd.Series: ...
    @overload
    def predict(
        self,
        new: Any,
        se: bool = False,
        interval: Interval | None = None,
        level: float = 0.95,
        kind: Scale | None = None,
        missing: MissingInNew = "nan",
    ) -> pd.Series | pd.DataFrame: ...

    def predict(
        self,
        new: Any,
        se: bool = False,
        interval: Interval | None = None,
        level: float = 0.95,
        kind: Scale | None = None,
        missing: MissingInNew = "nan",
    ) -> pd.Series | pd.DataFrame:
        """Predict for new data, each row by the curve of its group.

        Parameters
        ----------
        new : a data frame, a path or a dict of columns, the column of the groups among them.
        se, interval, level, kind, missing : as :meth:`raphson.Fit.predict` has them. A group that did not converge has
            no standard errors.

        Returns
        -------
        A Series of predictions; with `se` or `interval` a frame with columns ``fit``, ``se``, ``lower``, ``upper``; in
        polars or pyarrow if the new data are.

        Raises
        ------
        DataError
            If there is no column of the groups, or a group in it that was not fitted.
        ModelError
            Where each row of y is a curve: fits[number].predict takes the x of one.
        """
        import pandas as pd

        by, asked = self._curve.by, Prediction(kind or "response", se, interval, level)
        if by is None:
            raise ModelError("predict: the groups have no column that new data could name; use fits[label].predict(x)")
        table = read_table(new)
        if by not in table.columns:
            raise DataError(f"predict: expected the column {by!r} of the groups; got {first_of(table.columns)}")
        prepared = self._curve.schema.design(table, missing=missing)
        groups = table[by].to_numpy() if prepared.index is None else table[by].to_numpy()[prepared.index]
        places = np.array([self._places.get(label, -1) for label in groups], dtype=int)
        strange = groups[(places < 0) & ~np.asarray(pd.isna(groups))]
        if len(strange):
            raise DataError(f"predict: expected labels of groups, such as {self.labels[:5]!r}; got {strange[0]!r}")
        found = pd.DataFrame(np.nan, index=range(len(groups)), columns=["fit"])
        order = np.argsort(places, kind="stable")
        ends = np.flatnonzero(np.diff(places[order])) + 1
        for rows in np.split(order, ends):
            if not len(rows) or places[rows[0]] < 0:
                continue
            offset = None if prepared.offset is None else prepared.offset[rows]
            part = self._means(int(places[rows[0]])).predict(prepared.X[rows], offset, rows, asked)
            part = part.to_frame() if isinstance(part, pd.Series) else part
            if not found.columns.equals(part.columns):
                found = found.reindex(columns=part.columns)
            found.iloc[rows] = part.to_numpy()
        if prepared.absent is not None:
            found.iloc[np.flatnonzero(prepared.absent)] = np.nan
        found.index = kept_labels(prepared.labels, prepared.index, len(groups) + prepared.n_dropped)
        library = None if is_pandas(new) else library_of(new) or self._library
        return in_library(found if asked.uncertain else found["fit"], library, "fit")

    def _means(self, place: int) -> MeanPredictor:
        """What predicts the rows of one group."""
        known = self._found.converged[place] and self.df_resid.iloc[place] > 0
        root = delta.covariance_root(self._covariances[place]) if known else np.full((1, len(self.names)), np.nan)
        theta, df = self._found.theta[place], float(self.df_resid.iloc[place])
        dispersion = self._found.dispersion[place] if self._dispersion is None else self._dispersion
        return MeanPredictor(families.Gaussian(), self._curve.predictor, theta, None, root, dispersion, df)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the fits to one JSON file, which :func:`raphson.load` reads; the data do not go with them."""
        file.write(self._common() | self._body(), path)

    def _common(self) -> dict[str, Any]:
        """What fits of every kind store."""
        if self._curve.by is None or not all(
            type(label) in (str, int, float, bool) for label in map(_plain, self.labels)
        ):
            raise ModelError("save: expected groups by a column of text or numbers; write params and bse to a table")
        return {
            "groups": [_plain(label) for label in self.labels],
            "by": self._curve.by,
            "names": list(self.names),
            "schema": self._curve.schema.to_dict(),
            "status": [status.value for status in self._found.status],
        }

    def _body(self) -> dict[str, Any]:
        """What fits of curves store."""
        found = {one.name: getattr(self._found, one.name) for one in fields(Solutions)}
        return {
            **self._curve.predictor.to_dict(),
            "information_kind": self.information_kind,
            "dispersion": self._dispersion,
            "n_rows": self._n_rows.tolist(),
            "squares": listed(self._squares),
            "movable": self._movable.astype(int).tolist(),
            "found": {name: listed(values) for name, values in found.items() if name != "status"},
        }

    @staticmethod
    def loaded(body: Mapping[str, Any]) -> Fits:
        """The fits that a file describes; every part of it is checked."""
        labels, names, by, schema, status = common(body)
        information = body["information_kind"]
        expect(information in INFORMATION, f"information_kind: {information!r} is not known")
        expect(is_list(body["n_rows"], is_count) and len(body["n_rows"]) == len(labels), "n_rows: expected counts")
        expect(body["dispersion"] is None or is_number(body["dispersion"]), "dispersion: expected a number")
        G, p = len(labels), len(names)
        expect(body["curve"] is not None and tuple(body["curve"]["columns"]) == schema.names, "curve: other columns")
        shapes = {"theta": (G, p), "score": (G, p), "held": (G, p), "information": (G, p, p), "observed": (G, p, p)}
        numbers = {
            one.name: array(body["found"][one.name], shapes.get(one.name, (G,)), one.name)
            for one in fields(Solutions)
            if one.name != "status"
        }
        whole = {"held": numbers["held"] > 0, "n_iter": numbers["n_iter"].astype(int), "status": status}
        return Fits(
            Solutions(**numbers | whole),
            labels,
            tuple(names),
            np.array(body["n_rows"]),
            array(body["squares"], (G,), "squares"),
            array(body["movable"], (p,), "movable") > 0,
            information,
            body["dispersion"],
            without_data,
            CurveOfGroups(saved_predictor(body["curve"], names), schema, by),
        )

    @property
    def by(self) -> str | None:
        """The column whose values are the labels; None where each row of y is a curve."""
        return self._curve.by

    def report(self, path: str | PathLike[str]) -> None:
        """Write one self-contained HTML page: how the groups ended, how their estimates differ, a row for each."""
        from raphson.files import check_output, written_whole
        from raphson.report.groups import groups_page

        check_output(path, (".html", ".htm"), "a report")
        with written_whole(path) as draft:
            draft.write_text(groups_page(self), encoding="utf-8")

    def tidy(self, level: float = 0.95, exponentiate: bool = False) -> pd.DataFrame:
        """One row for each group and parameter, with the columns, and as ratios if asked, of :meth:`raphson.Fit.tidy`.

        They are group, term, estimate, std_error, statistic, p_value, conf_low, conf_high, status.
        """
        import pandas as pd

        p = len(self.names)
        ends = self.conf_int(level).to_numpy().reshape(len(self), p, 2)
        estimates, errors = self.params.to_numpy(), self.bse.to_numpy()
        with np.errstate(invalid="ignore", divide="ignore"):
            statistic = estimates / errors
        found = pd.DataFrame(
            {
                "group": np.repeat(np.array(self.labels, dtype=object), p),
                "term": list(self.names) * len(self),
                "estimate": estimates.ravel(),
                "std_error": errors.ravel(),
                "statistic": statistic.ravel(),
                "p_value": self._p_values(statistic).ravel(),
                "conf_low": ends[..., 0].ravel(),
                "conf_high": ends[..., 1].ravel(),
                "status": np.repeat(self.status.to_numpy(), p),
            }
        )
        if exponentiate:
            ratio_name(self._one)
            found = as_ratios(found, "std_error", ("group", "term", "statistic", "p_value", "status"))
        return in_library(found, self._library)

    @property
    def _one(self) -> Any:
        """What the fits of all groups have in common, as a Fit tells it."""
        return SimpleNamespace(family=families.Gaussian(), identified=True, linear=False)

    def _p_values(self, statistic: np.ndarray) -> np.ndarray:
        """Those of the statistics (G, p), each group by its own degrees of freedom."""
        df, places = np.unique(self._reference_df, return_inverse=True)
        found = np.full(statistic.shape, np.nan)
        for k, one in enumerate(df):
            found[places == k] = intervals.p_values(statistic[places == k], float(one))
        return found

    def glance(self) -> pd.DataFrame:
        """One row for each group, with its status and the statistics of its fit; in polars the first is ``group``."""
        import pandas as pd

        found = pd.DataFrame({name: getattr(self, name) for name in self.glanced})
        return found if self._library is None else in_library(found.reset_index(names="group"), self._library)

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {status}" for status, count in self._found.counts().items())
        finite = self.params.replace([np.inf, -np.inf], np.nan)
        return f"{len(self)} fits ({counts})\n{finite.describe().to_string()}"

    def _sheet(self) -> Sheet:
        import pandas as pd

        finite = self.params.replace([np.inf, -np.inf], np.nan)
        spread = pd.DataFrame(
            {
                "groups": finite.notna().sum(),
                "median std_error": self.bse.median(),
                **{name: finite.quantile(at) for name, at in QUANTILES.items()},
            }
        )
        order = np.argsort(self._found.converged, kind="stable")[:MOST_SHOWN]  # failed ones first
        shown = self.params.iloc[order].assign(status=self.status.iloc[order].to_numpy())
        some = f"The first {len(order)} of {len(self)} groups, failed ones before the others" * (len(order) < len(self))
        counts = [(status, f"{count:,}") for status, count in self._found.counts().items()]
        notes = [Note(f"{text[:1].upper()}{text[1:]}.", "doubt") for text in (self.failures, self.open_groups) if text]
        grids = [Grid.of(spread, "The estimates over the groups", "term"), Grid.of(shown, some, "group")]
        return Sheet(f"{len(self):,} fits", counts, grids, notes)

    @property
    def failures(self) -> str:
        """A warning of the groups that did not converge; empty if all did."""
        lost = int(np.count_nonzero(~self._found.converged))
        if not lost:
            return ""
        worst = {s.value: s.advice for s in Status if not s.converged and s.value in self._found.counts()}
        kinds = "; ".join(f"{name}: {advice}" for name, advice in worst.items())
        return f"{lost} of {len(self)} groups did not converge ({kinds}); see .status"

    @property
    def _index(self) -> pd.Index:
        import pandas as pd

        return pd.Index(self.labels)

    def _table(self, values: np.ndarray) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(values, index=self._index, columns=list(self.names))

    def _series(self, values: Any) -> pd.Series:
        import pandas as pd

        return pd.Series(values, index=self._index)


def common(body: Mapping[str, Any]) -> tuple[list[Any], list[str], str, Schema, np.ndarray]:
    """Labels, names, the column of the groups, schema and statuses of a saved file, checked."""
    labels, names, by = body["groups"], body["names"], body["by"]
    expect(is_texts(names) and isinstance(by, str), "names: expected different texts")
    expect(is_list(labels, lambda one: isinstance(one, str | int | float)), "groups: expected texts or numbers")
    status = np.array([Status(one) for one in body["status"]], dtype=object)
    expect(len(status) == len(labels), "status: expected one for each group")
    return labels, names, by, Schema.from_dict(body["schema"]), status


def without_data(*_: Any) -> NoReturn:
    """Stands for the fit of a group where the fits were loaded."""
    raise DataError("a loaded fit of many groups does not have the data to fit one of them again; fit anew")


def _plain(label: Any) -> Any:
    """A label of NumPy's as Python has it."""
    return label.item() if isinstance(label, np.generic) else label
