r"""Walls: the ends of a link's domain that some rows may lie at, as linear inequalities in θ.

Where the domain of η = xᵀθ + offset ends, the mean is at the edge of its range: 1 at η = 0 under the log link of a
probability, 0 at η = 0 under the identity link of a count. For most responses the log density falls to −∞ there, which
keeps the search away. It stays finite for a response that such a mean fits exactly (a success at 1, a count of 0
at 0). Such a row pushes against the end of the domain, and the maximum may lie there:

    a_iᵀ d ≤ r_i    for a step d,   a_i = ±x_i,   r_i = what is left of η_i's way to the end

This is common in models of relative risks (log-binomial), risk differences and rate differences (identity links): Luo,
Zhang and Sun (2014), Statistics in Medicine 33, 3054.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from raphson.data.blocks import Block
from raphson.data.products import dense
from raphson.numeric import EPSILON

AT_EDGE = 1e-9
"""A row within this share of the unit of η lies at the edge."""

MOST_AT_ONCE = 2_000
"""How many rows of a block, those that a step takes furthest beyond, are examined together: many are alike."""


@dataclass(frozen=True)
class Walls:
    """Distinct inequalities.

    Attributes
    ----------
    normals : (m, p) a_i.
    room : (m,) r_i: a step d stays inside while a_iᵀd ≤ r_i.
    """

    normals: np.ndarray
    room: np.ndarray

    def __len__(self) -> int:
        return len(self.room)

    @staticmethod
    def none(p: int) -> Walls:
        """No inequality on p parameters."""
        return Walls(np.zeros((0, p)), np.zeros(0))

    def combined(self, more: Walls) -> Walls:
        """These inequalities and others, without duplicates."""
        return distinct(np.concatenate([self.normals, more.normals]), np.concatenate([self.room, more.room]))

    def on_plane(self, basis: np.ndarray) -> Walls:
        """The same as inequalities in γ where θ moves by basis · γ, without those that γ does not affect."""
        normals = self.normals @ basis
        size = np.abs(self.normals) @ np.abs(basis).max(axis=1, initial=0.0)
        moved = np.abs(normals).max(axis=1, initial=0.0) > 1e-12 * size
        return Walls(normals[moved], self.room[moved])


def distinct(normals: np.ndarray, room: np.ndarray) -> Walls:
    """Each inequality once, with the least room that any of its rows has."""
    if len(room) < 2:
        return Walls(normals, room)
    found, which = np.unique(normals, axis=0, return_inverse=True)
    least = np.full(len(found), math.inf)
    np.minimum.at(least, which.reshape(-1), room)
    return Walls(found, least)


def joined(several: list[Walls], p: int) -> Walls:
    """All inequalities on p parameters, each once."""
    if not several:
        return Walls.none(p)
    return distinct(np.concatenate([one.normals for one in several]), np.concatenate([one.room for one in several]))


def side_of(family: Any, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(n,) the end of the domain that each row may lie at: +1 the upper, −1 the lower, 0 none."""
    side = np.zeros(len(y), dtype=np.int8)
    for sign, end in ((-1, family.domain[0]), (1, family.domain[1])):
        if math.isfinite(end):
            side[family.attains(y, end) & (weight > 0)] = sign
    return side


def unit_of(family: Any, total: Callable[..., Any]) -> float:
    """The scale of η: 1 for probabilities, otherwise that of the average response."""
    if family.domain != family.link.positive_ends and family.domain != family.link.valid_ends:
        return 1.0

    def sums(block: Block) -> np.ndarray:
        w = block.weight[: block.rows]
        return np.array([float(np.abs(block.y[: block.rows]) @ w), float(w.sum())])

    size, weight = total(sums, "unit")
    with np.errstate(all="ignore"):
        unit = abs(float(family.link.link(np.array(size / weight)))) if weight > 0 else 1.0
    return unit if math.isfinite(unit) and unit > 0 else 1.0


@dataclass
class Edges:
    """The walls of a model with a linear predictor, found by reading its rows.

    Attributes
    ----------
    family, predictor : of the model.
    total : total(function, *about), the sum of a function over the model's blocks; what they find are lists, which `+`
        puts one behind the other.
    """

    family: Any
    predictor: Any
    total: Callable[..., Any]

    def __post_init__(self) -> None:
        self.unit = unit_of(self.family, self.total)

    @property
    def sides(self) -> set[int]:
        """The ends that some row may lie at, as by :func:`side_of`, and 0 where some row may not."""

        def one(block: Block) -> list[int]:
            return np.unique(side_of(self.family, block.y[: block.rows], block.weight[: block.rows])).tolist()

        return set(self.total(one, "sides"))

    def walls(self, theta: np.ndarray, step: np.ndarray | None = None) -> Walls:
        """The inequalities that are active at θ; with a step, those that θ + step would violate."""
        return joined(self.total(lambda block: self._of_block(block, theta, step), "walls", theta, step), len(theta))

    def _of_block(self, block: Block, theta: np.ndarray, step: np.ndarray | None) -> list[Walls]:
        y, weight = block.y[: block.rows], block.weight[: block.rows]
        side = side_of(self.family, y, weight)
        if not side.any():
            return []
        eta, jacobian = self.predictor.at(block, theta)
        room = self._room(eta[0, : block.rows], side)
        if step is None:
            ahead = -room
            chosen = room <= AT_EDGE * self.unit + 4.0 * self._margin(block, theta)
        else:
            ahead = side * jacobian.product(step)[0] - room
            chosen = ahead > -0.5 * self._margin(block, theta)
        index = np.flatnonzero(chosen & (side != 0))
        if not len(index):
            return []
        index = index[np.argsort(-ahead[index], kind="stable")]
        return [self._walls(block, jacobian, index, side, room, theta)]

    def _room(self, eta: np.ndarray, side: np.ndarray) -> np.ndarray:
        low, high = self.family.domain
        return np.where(side > 0, high - eta, np.where(side < 0, eta - low, math.inf))

    def _walls(
        self, block: Block, jacobian: Any, index: np.ndarray, side: np.ndarray, room: np.ndarray, theta: np.ndarray
    ) -> Walls:
        index = _one_of_each(jacobian.parts[0], index, side)[:MOST_AT_ONCE]
        normals = np.zeros((len(index), len(theta)))
        normals[:, jacobian.slices[0]] = side[index, None] * dense(jacobian.parts[0][index])
        return distinct(normals, room[index] - self._margin(block, theta))

    def _margin(self, block: Block, theta: np.ndarray) -> float:
        """How far a row is kept from its end, so that it stays inside in whatever order the terms of xᵀθ are added."""
        part, columns = self.predictor.jacobian(block), self._sizes(block)
        terms = float(columns @ np.abs(theta[part.slices[0]]))
        if block.offset is not None:
            terms += float(np.abs(block.offset[0]).max(initial=0.0))
        ends = max((abs(end) for end in self.family.domain if math.isfinite(end)), default=0.0)
        return EPSILON * (2.0 * (len(columns) + 2) * terms + 4.0 * ends + self.unit)

    def _sizes(self, block: Block) -> np.ndarray:
        """(p,) the largest absolute value in each column of a block's design."""
        X = self.predictor.jacobian(block).parts[0]
        if isinstance(X, np.ndarray):
            return np.maximum(X.max(axis=0, initial=0.0), -X.min(axis=0, initial=0.0))
        return np.abs(dense(X)).max(axis=0, initial=0.0)

    def outside(self, theta: np.ndarray, inside: np.ndarray, share: float) -> Walls:
        """Inequalities that keep θ from having `share` of the room to both ends that `inside` has, in every row."""

        def one(block: Block) -> list[Walls]:
            rows, found = block.rows, list[Walls]()
            counts = block.weight[:rows] > 0
            eta, jacobian = self.predictor.at(block, theta)
            there = self.predictor.eta(block, inside)[0, :rows]
            for sign, end in zip((-1, 1), self.family.domain, strict=True):
                if not math.isfinite(end):
                    continue
                side = np.full(rows, sign, dtype=np.int8)
                asked = np.maximum(share * self._room(there, side), 4.0 * self._margin(block, inside))
                left = self._room(eta[0, :rows], side) - asked
                index = np.flatnonzero((left < -2.0 * self._margin(block, theta)) & counts)
                if len(index):
                    index = index[np.argsort(left[index], kind="stable")]
                    found.append(self._walls(block, jacobian, index, side, left + self._margin(block, theta), theta))
            return found

        return joined(self.total(one, "outside", theta, inside, share), len(theta))

    def at(self, theta: np.ndarray) -> np.ndarray:
        """Positions, in the whole data, of the rows that lie at the edge."""

        def one(block: Block) -> list[np.ndarray]:
            side = side_of(self.family, block.y[: block.rows], block.weight[: block.rows])
            if not side.any():
                return []
            room = self._room(self.predictor.eta(block, theta)[0, : block.rows], side)
            near = room <= AT_EDGE * self.unit + 4.0 * self._margin(block, theta)
            return [block.start + np.flatnonzero(near & (side != 0))]

        found = self.total(one, "edge", theta)
        return np.concatenate(found) if found else np.zeros(0, dtype=int)


def _one_of_each(X: Any, index: np.ndarray, side: np.ndarray) -> np.ndarray:
    """One of the rows `index` for each distinct row, told apart by their products with a fixed vector."""
    if len(index) < 2:
        return index
    key = X @ _fixed(X.shape[1]) if isinstance(X, np.ndarray) else X.matvec(_fixed(X.shape[1]))
    first = np.unique(key[index] * side[index], return_index=True)[1]
    return index[np.sort(first)]


def _fixed(p: int) -> np.ndarray:
    return np.sqrt(np.arange(2.0, p + 2.0))
