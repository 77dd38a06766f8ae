"""Another covariance for a fit: the same state with another kind of covariance and other clusters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from raphson.choices import Covariance, SmallSample
from raphson.data.extras import label_array, label_codes
from raphson.errors import DataError, check_choice
from raphson.fit.reading import Reading
from raphson.fit.uncertainty import COVARIANCES
from raphson.options import Inference


def robust(fit: Reading, cov: Covariance, groups: Any, small_sample: SmallSample | None) -> Reading:
    """The reading of the same fit with another covariance; see :meth:`raphson.Fit.robust`.

    Raises
    ------
    ModelError, DataError
    """
    fit.at("robust")
    state = fit.state
    clusters = fit.clusters if groups is None else groups
    Inference(cov=cov, groups=clusters, small_sample=small_sample).completed(state.information)
    check_choice("cov", cov, COVARIANCES)
    if groups is not None:
        inputs = {**state.inputs, "groups": groups if isinstance(groups, str) else "array"}
        state = replace(state, groups=_clusters(fit, groups), inputs=inputs)
    elif cov == "cluster":
        state = replace(state, groups=clusters)
    fit.check_covariance(cov)
    return replace(fit, state=replace(state, cov=cov, small_sample=small_sample))


def _clusters(fit: Reading, groups: Any) -> np.ndarray:
    """(N,) cluster numbers of the rows that were used."""
    asked = fit.at("robust").asked
    if isinstance(groups, str):
        frame = fit.frame
        if groups not in frame:
            known = ", ".join(map(str, frame))
            raise DataError(f"groups: expected a column of the data ({known}); got {groups!r}")
        values = frame[groups].to_numpy()
    else:
        values = label_array(groups)
    n, index = len(asked.y), asked.data.index
    if index is not None and values.shape == (n + asked.data.n_dropped,):
        values = values[index]
    if values.ndim != 1 or len(values) != n:
        raise DataError(f"groups: expected a cluster for each of {n} rows; got shape {values.shape}")
    numbered = label_codes(values)
    if (numbered < 0).any():
        raise DataError(
            f"groups: expected the cluster of every row; it is missing for {int((numbered < 0).sum())} of "
            f"{len(numbered)} rows, the first of them row {int(np.argmin(numbered))} of those fitted. Fill in the "
            "clusters, or fit again with cov='cluster' and groups=, which leaves these rows out"
        )
    return np.unique(numbered, return_inverse=True)[1]
