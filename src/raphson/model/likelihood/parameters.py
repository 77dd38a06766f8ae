"""A nested dict of parameters as one vector: where each lies in it, and what its elements are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from raphson.errors import ModelError
from raphson.model.parameters import element_names


@dataclass(frozen=True)
class Leaf:
    """One array of parameters.

    Attributes
    ----------
    path : its keys, from the outermost dict inwards.
    shape : of the array.
    start : where it begins in θ.
    """

    path: tuple[str, ...]
    shape: tuple[int, ...]
    start: int

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    @property
    def part(self) -> slice:
        """Where it lies in θ."""
        return slice(self.start, self.start + self.size)

    @property
    def names(self) -> list[str]:
        """``beta[0]``, ``group.shift[2,1]``, or ``log_sigma`` for a number."""
        return element_names(".".join(self.path), self.shape)


@dataclass(frozen=True)
class Parameters:
    """The layout of θ.

    Examples
    --------
    >>> layout, theta = Parameters.of({"beta": [0.0, 1.0], "sigma": {"log": 2.0}})
    >>> layout.names, theta.tolist()
    (('beta[0]', 'beta[1]', 'sigma.log'), [0.0, 1.0, 2.0])
    >>> layout.nested(theta)["sigma"]["log"]
    2.0
    """

    leaves: tuple[Leaf, ...]

    @staticmethod
    def of(start: Any) -> tuple[Parameters, np.ndarray]:
        """The layout of starting values, and θ there.

        Raises
        ------
        ModelError
            If they are not a dict of numbers, arrays and dicts.
        """
        if not isinstance(start, Mapping) or not start:
            raise ModelError(
                "start: expected a dict of parameters with starting values, such as "
                f"{{'beta': np.zeros(3), 'log_sigma': 0.0}}; got {type(start).__name__}"
            )
        leaves: list[Leaf] = []
        values: list[np.ndarray] = []

        def take(inside: Mapping[Any, Any], path: tuple[str, ...]) -> None:
            for key, value in inside.items():
                if not isinstance(key, str):
                    raise ModelError(f"start: expected names as keys; got {key!r}")
                here = (*path, key)
                if isinstance(value, Mapping):
                    take(value, here)
                    continue
                try:
                    array = np.asarray(value, dtype=float)
                except (TypeError, ValueError):
                    raise ModelError(f"start[{'.'.join(here)!r}]: expected numbers; got {value!r}") from None
                if not np.isfinite(array).all():
                    raise ModelError(f"start[{'.'.join(here)!r}]: expected finite numbers; got {value!r}")
                leaves.append(Leaf(here, array.shape, sum(one.size for one in values)))
                values.append(array)

        take(start, ())
        theta = np.concatenate([one.ravel() for one in values]) if values else np.zeros(0)
        if not len(theta):
            raise ModelError("start: there is no parameter in it")
        return Parameters(tuple(leaves)), theta

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the elements of θ."""
        return tuple(name for leaf in self.leaves for name in leaf.names)

    @property
    def size(self) -> int:
        """p."""
        return sum(leaf.size for leaf in self.leaves)

    def split(self, theta: Any) -> list[Any]:
        """The leaves of θ, of NumPy's or JAX's kind as θ is."""
        return [theta[leaf.part].reshape(leaf.shape) for leaf in self.leaves]

    def assembled(self, leaves: list[Any]) -> dict[str, Any]:
        """The nested dict of leaves."""
        out: dict[str, Any] = {}
        for leaf, value in zip(self.leaves, leaves, strict=True):
            here = out
            for key in leaf.path[:-1]:
                here = here.setdefault(key, {})
            here[leaf.path[-1]] = value
        return out

    def nested(self, theta: np.ndarray) -> dict[str, Any]:
        """The nested dict at θ, plain numbers where a parameter is one."""
        return self.assembled([one if one.ndim else float(one) for one in self.split(theta)])

    def like(self, start: Any) -> np.ndarray:
        """θ at starting values of the same layout."""
        other, theta = Parameters.of(start)
        if other != self:
            raise ModelError(f"start: expected the parameters {', '.join(self.names)}; got {', '.join(other.names)}")
        return theta
