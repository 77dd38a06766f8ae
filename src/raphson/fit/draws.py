"""New responses, drawn from a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

import numpy as np

from raphson.choices import Draws
from raphson.errors import ModelError, check_choice
from raphson.fit.reading import Reading
from raphson.fit.refitting import draws_of, in_chunks

if TYPE_CHECKING:
    import pandas as pd

TOGETHER = 64
"""Data sets that are drawn together, from one stream of random numbers."""


def simulate(fit: Reading, n: int = 1, seed: int | None = None, effects: Draws = "new") -> pd.DataFrame:
    """Draw new responses from the fit.

    Parameters
    ----------
    n : number of data sets.
    seed : of the random numbers; the same seed gives the same responses.
    effects : where coefficients vary by groups, "new" effects, drawn from their distribution for every data set, or
        "conditional" on those of the fit. Smooth functions are those of the fit.

    Returns
    -------
    DataFrame
        A column for each data set, 0 to n − 1, with the index of the data. Responses of several trials are shares, as
        in :attr:`fittedvalues`; of several levels, their labels.

    Raises
    ------
    ModelError
        If the family cannot be drawn from, or the fit has no finite maximum.

    Examples
    --------
    >>> import raphson as rp
    >>> fit = rp.glm("low ~ lwt", rp.datasets.load("births"), family="binomial")
    >>> drawn = fit.simulate(3, seed=1)
    >>> drawn.shape, sorted(set(drawn[0]))
    ((189, 3), [0.0, 1.0])
    """
    import pandas as pd

    check_choice("effects", effects, get_args(Draws))
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ModelError(f"n: expected a whole number of data sets, at least 1; got {n!r}")
    asked = fit.at("simulate").asked
    if fit.state.infinite.any() or not fit.converged:
        raise ModelError(
            f"simulate: expected a fit with a finite maximum; this one ended with {fit.state.status.value!r} "
            f"({fit.message})"
        )
    y = np.concatenate(in_chunks(draws_of(fit, None, effects), int(n), TOGETHER, seed, asked.executor))
    levels = fit.family.levels
    values = y.T if levels is None else np.array(levels, dtype=object)[y.T.astype(int)]
    return pd.DataFrame(values, index=fit.row_labels)
