"""A generalised linear model that is fitted to every group of its rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from raphson.data.model_data import ModelData, take_rows
from raphson.errors import ModelError
from raphson.model.glm.glm import PERFECT, GeneralisedLinearModel, all_equal
from raphson.model.glm.stacked import MOST_PADDING, STACK_ROWS, Stack
from raphson.model.spread import Spread, deviates, remark

LARGEST_PLAIN = 1e100
"""Responses beyond this, or all below its inverse, are left to the checks of a single fit."""


@dataclass(frozen=True)
class GroupedModel:
    """One model, to be fitted to every group of its rows.

    Attributes
    ----------
    whole : the model with all rows, whose data say to which group each belongs.
    """

    whole: GeneralisedLinearModel

    @staticmethod
    def of(whole: GeneralisedLinearModel) -> GroupedModel:
        """Check that a group's fit is one row of a table.

        Raises
        ------
        ModelError
        """
        family = whole.family
        if family.auxiliary or family.n_predictors > 1:
            remedy = "give theta=" if family.name == "negative_binomial" else "fit each group by itself"
            raise ModelError(
                f"by: the {family.name} family has more parameters than a coefficient for each column, which a table "
                f"of groups has no place for; {remedy}"
            )
        return GroupedModel(whole)

    @property
    def _data(self) -> ModelData:
        return self.whole.data

    @property
    def labels(self) -> tuple[Any, ...]:
        return self._data.by_labels

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def order(self) -> np.ndarray | None:
        """(n,) the rows, group after group; None where they are in this order already."""
        codes = self._data.by
        assert codes is not None
        return None if (codes[1:] >= codes[:-1]).all() else np.argsort(codes, kind="stable")

    @cached_property
    def edges(self) -> np.ndarray:
        """(G + 1,) where in this order each group begins, and the last one ends."""
        codes = self._data.by
        assert codes is not None
        return np.searchsorted(codes if self.order is None else codes[self.order], np.arange(len(self) + 1))

    def rows(self, number: int) -> slice | np.ndarray:
        """The rows of a group."""
        here = slice(*self.edges[number : number + 2].tolist())
        return here if self.order is None else self.order[here]

    def sums(self, values: np.ndarray) -> np.ndarray:
        """(..., G) sums of row quantities (..., n) over each group."""
        values = values if self.order is None else values[..., self.order]
        return np.add.reduceat(values, self.edges[:-1], axis=-1)

    @cached_property
    def n_rows(self) -> np.ndarray:
        """(G,) rows of positive weight."""
        weight = self.whole.weight
        return np.diff(self.edges) if weight is None else self.sums((weight > 0).astype(float)).astype(int)

    @cached_property
    def nobs(self) -> np.ndarray:
        """(G,) as :attr:`Model.nobs` of each group."""
        w = self._data.weights
        if w is None:
            return np.diff(self.edges).astype(float)
        return self.sums(w if self.whole.weights_kind == "frequency" else (w > 0).astype(float))

    # -- a group by itself ------------------------------------------------------------------------------------------

    @cached_property
    def _labels_of_rows(self) -> Any:
        import pandas as pd

        data = self._data
        return pd.RangeIndex(len(self.whole.y) + data.n_dropped) if data.labels is None else data.labels

    def model(self, number: int) -> GeneralisedLinearModel:
        """The model of one group's rows, not checked."""
        rows, data, whole = self.rows(number), self._data, self.whole

        def cut(values: Any) -> Any:
            return None if values is None else values[rows].copy()

        X = take_rows(data.X, rows)  # type: ignore[arg-type]
        index = np.arange(len(whole.y)) if data.index is None else data.index
        groups = None if data.groups is None else np.unique(data.groups[rows], return_inverse=True)[1]
        own = replace(
            data,
            X=np.array(X, order="C") if isinstance(X, np.ndarray) else X,
            response=replace(data.response, values=cut(data.response.values)),
            weights=cut(data.weights),
            offset=cut(data.offset),
            trials=cut(data.trials),
            groups=groups,
            index=index[rows],
            n_dropped=0,
            labels=self._labels_of_rows,
            watch=None,
            by=None,
            by_labels=(),
        )
        return replace(whole, data=own, y=cut(whole.y), weight=cut(whole.weight), size=cut(whole.size))

    def remark(self, number: int) -> str:
        """What a group lacks: levels of a factor, or differences between its responses."""
        rows, whole, said = self.rows(number), self.whole, []
        X, y = take_rows(self._data.X, rows), whole.y[rows]  # type: ignore[arg-type]
        if whole.weight is not None:
            counts = whole.weight[rows] > 0
            X, y = take_rows(X, np.flatnonzero(counts)), y[counts]
        for factor, labels in self._data.schema.absent_levels(X).items():
            said.append(f"no row has {factor} = {', '.join(map(repr, labels))}")
        if len(y) and y.min() == y.max():
            said.append(f"of the response {all_equal(len(y), float(y[0]))}")
        return "; ".join(said)

    # -- many groups at once ----------------------------------------------------------------------------------------

    @property
    def stackable(self) -> bool:
        """Whether groups can be stacked: one concave likelihood each, with a dense design and rows by hand."""
        whole, family = self.whole, self.whole.family
        by_hand = family.host_mean is not None or (family.kernel is not None and family.link_name == "log")
        plain = whole.penalty is None and whole.bias is None and isinstance(self._data.X, np.ndarray)
        return by_hand and plain and family.log_concave

    def stacks(self) -> Iterator[np.ndarray]:
        """The groups of each stack, by their numbers: of similar sizes, with more rows than coefficients.

        Groups of no more rows than coefficients, or than their frequency weights count, are in none.
        """
        p, sizes = len(self._data.names), np.diff(self.edges)
        enough = np.flatnonzero((self.n_rows > p) & (self.nobs > p))
        queue = enough[np.argsort(sizes[enough], kind="stable")]
        start = 0
        while start < len(queue):
            ahead = sizes[queue[start:]]
            fitting = (ahead <= max(MOST_PADDING * ahead[0], ahead[0] + 1)) & (
                ahead * np.arange(1, len(ahead) + 1) <= STACK_ROWS
            )
            stop = start + max(1, int(np.argmin(fitting)) if not fitting.all() else len(ahead))
            yield queue[start:stop]
            start = stop

    def stack(self, places: np.ndarray) -> Stack:
        """Groups of similar sizes, stacked."""
        whole, first, sizes = self.whole, self.edges[places], np.diff(self.edges)[places]
        longest, padded = int(sizes.max()), sizes.min() < sizes.max()
        offset, weight = self._data.offset, whole.weight
        if self.order is None and not padded and (np.diff(places) == 1).all():
            rows: Any = slice(int(first[0]), int(first[-1]) + longest)
        else:
            # The padding repeats a group's first row with weight 0: its η is in the domain.
            place = np.arange(longest)
            real = place < sizes[:, None]
            rows = np.where(real, first[:, None] + place, first[:, None]).ravel()
            rows = rows if self.order is None else self.order[rows]
            if padded:
                weight = np.where(real.ravel(), 1.0 if weight is None else weight[rows], 0.0)
        shape = (len(places), longest)

        def shaped(values: np.ndarray | None) -> np.ndarray | None:
            return None if values is None else values[rows].reshape(shape)

        X = np.asarray(self._data.X)[rows].reshape(*shape, -1)
        w = None if weight is None else weight.reshape(shape) if padded else shaped(weight)
        y = whole.y[rows].reshape(shape)
        return Stack(whole.family, np.ascontiguousarray(np.swapaxes(X, 1, 2)), y, w, shaped(offset))

    def doubtful(self, stack: Stack, dispersion: np.ndarray | None) -> np.ndarray:
        """(B,) whether a group's responses are all equal, extreme, or fitted without error at a dispersion (B,)."""
        y, w, family = stack.y, stack.weight, self.whole.family
        constant = (y == y[:, :1]).all(axis=1)
        if dispersion is None:
            return constant
        largest = np.abs(y).max(axis=1)
        squares, spread = y * y, family.variance(y)
        if w is not None:
            squares, spread = w * squares, w * spread
        squares, spread = squares.sum(axis=1), spread.sum(axis=1)
        exact = ~(dispersion * spread > PERFECT * squares) & ~((spread == 0) & (dispersion > PERFECT))
        return constant | exact | (largest > LARGEST_PLAIN) | (largest < 1.0 / LARGEST_PLAIN)

    # -- at the estimates -------------------------------------------------------------------------------------------

    def eta(self, theta: np.ndarray) -> np.ndarray:
        """(n,) linear predictors at Θ (G, p)."""
        eta = np.einsum("ij,ij->i", np.asarray(self._data.X), theta[self._data.by])
        return eta if self._data.offset is None else eta + self._data.offset

    def mean(self, eta: np.ndarray) -> np.ndarray:
        """(n,) means, of a stackable model."""
        family = self.whole.family
        return np.exp(eta) if family.host_mean is None else np.asarray(family.host_mean(eta))

    def deviance(self, theta: np.ndarray) -> np.ndarray:
        """(G,) deviances at Θ (G, p), of a stackable model."""
        whole, family, eta = self.whole, self.whole.family, self.eta(theta)
        with np.errstate(all="ignore"):
            value = family.kernel(whole.y, eta.copy(), np.empty((5, len(eta))))[0]
            d = family.unit_deviance(whole.y, self.mean(eta), value)
            return self.sums(d if whole.weight is None else np.where(whole.weight > 0, whole.weight * d, 0.0))

    def spread_remarks(self, theta: np.ndarray, df: np.ndarray) -> list[str]:
        """The remark on the over- or underdispersion of each group at Θ (G, p), of a stackable model; "" for none."""
        whole, family, w = self.whole, self.whole.family, self.whole.row_weight
        wider = whole.wider_families
        if not wider or not family.dispersion_fixed or whole.weights_kind == "sampling":
            return [""] * len(self)
        frequency = self._data.weights if whole.weights_kind == "frequency" else None
        count = w if frequency is None else np.ones(len(w)) if whole.size is None else whole.size
        with np.errstate(all="ignore"):
            mean = self.mean(self.eta(theta))
            terms = np.where(w > 0, family.spread(whole.y, mean, count), 0.0)
            variance = family.variance(mean)
            pearson = np.where((w > 0) & (variance > 0), w * (whole.y - mean) ** 2 / variance, 0.0)
        terms, pearson = self.sums(terms if frequency is None else terms * frequency), self.sums(pearson)
        said = []
        for own, chi, degrees, nobs in zip(terms.T.tolist(), pearson.tolist(), df.tolist(), self.nobs, strict=True):
            said.append(remark(family.name, wider, *deviates(Spread(*own), chi, degrees, float(nobs))))
        return said
