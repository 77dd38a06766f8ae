"""The record of a term whose coefficients vary: what a model needs to know of groups and of smooth functions alike."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypeAlias

import numpy as np

from raphson.frozen import frozen

Structure: TypeAlias = Literal["correlated", "independent", "common", "tensor"]
"""How the c coefficients of one level vary."""


@frozen
class VaryingTerm:
    """Coefficients that vary: c of them at each of L levels.

    A row with the columns a at level l adds aᵀ Λ u_l to η, where u_l ~ N(0, I). Λ is (c, c): a lower triangle if the
    coefficients of a level are *correlated*, diagonal if they are *independent*, and σI if they have one standard
    deviation in *common*. A smooth function with the penalty λ bᵀSb is the last of these, with one level: its columns
    are those of its basis, times the eigenvectors of S with the roots of their eigenvalues as divisors, so that
    σ² = φ/λ. What S does not penalise is among the columns of the design.

    A *tensor* product has several penalties Σ λ_m bᵀS_m b, whose S_m are diagonal, d_m, for its columns as they are.
    Then Λ is diagonal, with Λ_aa = (Σ_m d_ma/σ_m²)^(-1/2) and σ_m² = φ/λ_m.

    Attributes
    ----------
    label : str
        As a formula has it: ``"days | subject"`` or ``"s(x)"``.
    group : str
        What has the levels, ``"subject"``; the label of a smooth function.
    columns : ndarray of float64, shape (n, c)
    codes : ndarray of int32, shape (n,), or None
        The level of each row; -1 for a level that the fit did not have, whose coefficients are 0 on average. None for
        one level.
    levels : tuple of str
        The labels of the levels; empty for one level without a name.
    names : tuple of str
        Names of the c columns.
    structure : {"correlated", "independent", "common", "tensor"}
    smooth : bool
        Whether a formula has it as a smooth function, ``s(...)``.
    margins : tuple of str
        Of a tensor product, the name of what each penalty is of: its variable.
    penalties : ndarray of float64, shape (q, c), or None
        Of a tensor product, the diagonals d_m ≥ 0; none of the columns has 0 in all of them.
    predictor : int
        The number of the predictor that it adds to.
    prefix : str
        What the label and the names begin with where there are several predictors: ``"sigma:"``.

    Examples
    --------
    >>> term = VaryingTerm("1 | g", "g", np.ones((3, 1)), np.array([0, 0, 1]), ("a", "b"), ("Intercept",))
    >>> term.n_levels, term.width, term.n_parameters, term.n_coefficients
    (2, 1, 1, 2)
    """

    label: str
    group: str
    columns: np.ndarray
    codes: np.ndarray | None
    levels: tuple[str, ...]
    names: tuple[str, ...]
    structure: Structure = "correlated"
    smooth: bool = False
    margins: tuple[str, ...] = ()
    penalties: np.ndarray | None = None
    predictor: int = 0
    prefix: str = ""

    @property
    def own_label(self) -> str:
        """The label without the prefix, as the formula of its predictor has it."""
        return self.label.removeprefix(self.prefix)

    @property
    def width(self) -> int:
        """The number c of coefficients of a level."""
        return self.columns.shape[1]

    @property
    def n_levels(self) -> int:
        """The number L of levels."""
        return 1 if self.codes is None else len(self.levels)

    @property
    def n_coefficients(self) -> int:
        """The number of coefficients of all levels."""
        return self.width * self.n_levels

    @property
    def n_parameters(self) -> int:
        """How many numbers Λ has."""
        if self.structure == "correlated":
            return self.width * (self.width + 1) // 2
        return len(self.scale_names)

    @property
    def scale_names(self) -> tuple[str, ...]:
        """What each standard deviation is of: a column, or the variable of a penalty; "" for one in common."""
        if self.structure == "tensor":
            return self.margins
        return ("",) if self.structure == "common" and self.width > 1 else self.names

    def take_rows(self, rows: np.ndarray) -> VaryingTerm:
        """The term for some of the rows; its levels stay."""
        codes = None if self.codes is None else self.codes[rows]
        return replace(self, columns=self.columns[rows], codes=codes)

    def only(self, column: int) -> VaryingTerm:
        """The term of one of its coefficients."""
        return replace(self, columns=self.columns[:, [column]], names=(self.names[column],))

    def with_level_0(self, rows: np.ndarray) -> VaryingTerm:
        """The term with the first level in the rows of a mask, for rows whose values do not matter."""
        if self.codes is None:
            return self
        return replace(self, codes=np.where(rows, 0, self.codes).astype(np.int32))

    def matrix(self) -> np.ndarray:
        """Z, (n, c L): the columns of the first level, then those of the second; for tests and few levels."""
        if self.codes is None:
            return self.columns
        Z = np.zeros((len(self.codes), self.n_levels, self.width))
        known = np.flatnonzero(self.codes >= 0)
        Z[known, self.codes[known]] = self.columns[known]
        return Z.reshape(len(self.codes), self.n_coefficients)
