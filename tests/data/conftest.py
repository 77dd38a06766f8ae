"""Rows for tests of what passes over streamed rows find."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import raphson as rp

N = 6000


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Rows of which the first thousand have no x, and a whole part one value of z alone."""
    rng = np.random.default_rng(0)
    x, z = rng.normal(2.0, 3.0, N), rng.uniform(1.0, 3.0, N)
    y = rng.poisson(np.exp(0.1 * x - 0.3 * z)).astype(float)
    x[:1000], z[2000:3000] = np.nan, 2.0
    k = rng.integers(0, 9, N) * 1.0
    return pd.DataFrame({"x": x, "z": z, "g": rng.choice(["a", "b"], N), "k": k, "few": k % 3, "y": y})


@pytest.fixture
def pieces():
    """A stream of the rows of a frame, in batches of 500."""

    def streamed(frame: pd.DataFrame):
        return rp.stream(lambda: (frame[start : start + 500] for start in range(0, len(frame), 500)), 256)

    return streamed
