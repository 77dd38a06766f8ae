"""The user's parameters, numbers or arrays by name, as one vector θ and back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from math import prod
from typing import Any

import numpy as np

from raphson.data.messages import listing
from raphson.errors import ModelError

INDEX_GAP = r"(?<=\d),\s*(?=\d)"
"""What stands between the numbers of an index."""


def element_names(name: str, shape: tuple[int, ...]) -> list[str]:
    """Names for the elements of an array of parameters; a single number keeps the name itself.

    Examples
    --------
    >>> element_names("Sigma", (1, 2)), element_names("beta", (2,)), element_names("rate", ())
    (['Sigma[0,0]', 'Sigma[0,1]'], ['beta[0]', 'beta[1]'], ['rate'])
    """
    return [f"{name}[{','.join(map(str, at))}]" for at in np.ndindex(*shape)] if shape else [name]


def place_of(name: str, names: Sequence[str]) -> int | None:
    """Position of a name among others, None if it is not there; blanks in an index do not matter.

    Examples
    --------
    >>> place_of("Sigma[0, 1]", ["Sigma[0,0]", "Sigma[0,1]"])
    1
    """
    wanted = re.sub(INDEX_GAP, ",", name)
    return next((i for i, one in enumerate(names) if one == name or re.sub(INDEX_GAP, ",", one) == wanted), None)


@dataclass(frozen=True)
class Parameters:
    """Names and shapes of the parts of θ.

    Attributes
    ----------
    paths : of each part, the keys that lead to it: ``("beta",)``, or ``()`` where the user's parameters are one array.
    shapes : of each part.

    Examples
    --------
    >>> parameters, theta = Parameters.of({"beta": [1.0, 2.0], "rate": 0.5}, "start")
    >>> parameters.names
    ('beta[0]', 'beta[1]', 'rate')
    >>> parameters.unflatten(theta)["beta"]
    array([1., 2.])
    """

    paths: tuple[tuple[str, ...], ...]
    shapes: tuple[tuple[int, ...], ...]

    @staticmethod
    def of(values: Any, what: str, by_name: bool = False) -> tuple[Parameters, np.ndarray]:
        """The structure of the user's values, and their vector. With `by_name`, all keys have to be text.

        Raises
        ------
        ModelError
            If they hold anything but real numbers.
        """
        paths: list[tuple[str, ...]] = []
        parts: list[np.ndarray] = []

        def visit(value: Any, path: tuple[str, ...]) -> None:
            if isinstance(value, Mapping):
                for key, inner in value.items():
                    if by_name and not isinstance(key, str):
                        raise ModelError(f"{what}: expected names as keys; got {key!r}")
                    visit(inner, (*path, str(key)))
                return
            name = ".".join(path) or "the array"
            try:
                array = np.asarray(value, dtype=float)
            except (TypeError, ValueError):
                raise ModelError(f"{what}: expected numbers for {name}; got {value!r}") from None
            if np.iscomplexobj(value):
                raise ModelError(f"{what}: expected real numbers for {name}; got complex ones")
            paths.append(path)
            parts.append(array)

        visit(values, ())
        if not parts or not sum(part.size for part in parts):
            raise ModelError(f"{what}: expected at least one parameter; got {values!r}")
        theta = np.concatenate([part.ravel() for part in parts])
        return Parameters(tuple(paths), tuple(part.shape for part in parts)), theta

    @staticmethod
    def named(start: Any) -> tuple[Parameters, np.ndarray]:
        """The structure of finite starting values by name, and their vector.

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
        layout, theta = Parameters.of(start, "start", by_name=True)
        for name, value in zip(layout.names, theta, strict=True):
            if not np.isfinite(value):
                raise ModelError(f"start: expected finite numbers; got {value:g} for {name!r}")
        return layout, theta

    @staticmethod
    def scalars(names: Sequence[str]) -> Parameters:
        """Single numbers by name."""
        return _scalars(tuple(names))

    @property
    def sizes(self) -> list[int]:
        """Elements of each part."""
        return [prod(shape) for shape in self.shapes]

    @property
    def size(self) -> int:
        """p."""
        return sum(self.sizes)

    @property
    def slices(self) -> list[slice]:
        """Where each part lies in θ."""
        return [slice(end - size, end) for end, size in zip(accumulate(self.sizes), self.sizes, strict=True)]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """A name for each element of θ: ``rate``, ``beta[1]``, ``Sigma[0,1]``."""
        parts = zip(self.paths, self.shapes, strict=True)
        return tuple(name for path, shape in parts for name in element_names(".".join(path) or "theta", shape))

    @cached_property
    def _places(self) -> dict[str, slice]:
        """Where each part is in θ, by its name."""
        return {".".join(path): part for path, part in zip(self.paths, self.slices, strict=True)}

    def split(self, theta: Any) -> list[Any]:
        """θ cut into its parts, shaped; θ may be traced."""
        return [theta[part].reshape(shape) for part, shape in zip(self.slices, self.shapes, strict=True)]

    def build(self, parts: Sequence[Any]) -> Any:
        """The parts in the structure that the user gave."""
        if self.paths == ((),):
            return parts[0]
        out: dict[str, Any] = {}
        for path, part in zip(self.paths, parts, strict=True):
            inner = out
            for key in path[:-1]:
                inner = inner.setdefault(key, {})
            inner[path[-1]] = part
        return out

    def unflatten(self, theta: Any) -> Any:
        """θ in the structure that the user gave."""
        return self.build(self.split(theta))

    def plain(self, theta: np.ndarray) -> Any:
        """The same, with Python's own numbers for scalar parameters."""
        return self.build([one if one.ndim else float(one) for one in self.split(theta)])

    def per_element(self, values: Any, default: float, what: str) -> np.ndarray:
        """A value for each element of θ, from a mapping of names (of parts or of elements) to values.

        Raises
        ------
        ModelError
            If a name is unknown, or a value does not fit.
        """
        out = np.full(self.size, default)
        if values is None or (isinstance(values, dict) and not values):
            return out
        if not isinstance(values, Mapping):
            array = np.asarray(values, dtype=float)
            if array.shape != out.shape:
                raise ModelError(f"{what}: expected {len(out)} numbers, or a dict by name; got shape {array.shape}")
            return array.copy()
        parts = self._places
        for name, value in values.items():
            where = parts[name] if name in parts else place_of(name, self.names) if isinstance(name, str) else None
            if where is None:
                raise ModelError(f"{what}: {name!r} is not a parameter; the parameters are {listing(self.names)}")
            try:
                out[where] = np.asarray(value, dtype=float).ravel() if np.ndim(value) else float(value)
            except (TypeError, ValueError):
                raise ModelError(f"{what}: expected a number for {name!r}; got {value!r}") from None
        return out


@lru_cache(maxsize=256)
def _scalars(names: tuple[str, ...]) -> Parameters:
    """Single numbers by name; many fits of one curve share what is computed of them."""
    return Parameters(tuple((name,) for name in names), ((),) * len(names))
