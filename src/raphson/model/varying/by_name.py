"""The criterion as a function of all parameters, as a fit names them: for profiles and restricted maxima."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from raphson.model.objective import VALUE, Evaluation, Gram, Need, Objective
from raphson.model.varying.criterion import Criterion


class ByName(Objective):
    """The criterion with all columns of the design among its parameters, those that are aliased too.

    Parameters
    ----------
    criterion : by maximum likelihood, whose first parameters are β.
    kept : (p,) mask of the columns that are not aliased.
    """

    def __init__(self, criterion: Criterion, kept: np.ndarray) -> None:
        self.criterion = criterion
        more = criterion.n_params - criterion.p
        self.places = np.concatenate([np.flatnonzero(kept), len(kept) + np.arange(more)])
        self._count = len(kept) + more

    @property
    def n_params(self) -> int:
        return self._count

    @property
    def n_rows(self) -> int:
        return self.criterion.n_rows

    def evaluate(self, theta: np.ndarray, need: Need = VALUE) -> Evaluation:
        """As the criterion does; aliased parameters have no score and no information."""
        found = self.criterion.evaluate(theta[self.places], need)
        score = np.zeros(self._count)
        score[self.places] = found.score
        information = {}
        for kind, part in found.information.items():
            whole = np.zeros((self._count, self._count))
            whole[np.ix_(self.places, self.places)] = part.matrix
            information[kind] = Gram(whole)
        return replace(found, theta=theta, score=score, information=information)
