from __future__ import annotations

import numpy as np

from raphson.model.glm.recession import _certified_kernel


def test_equations_are_believed_only_with_a_proof() -> None:
    # Two opposite rows are equations; opposite but for 1e-9 they are not, though Σ λ b is 0 to the solver's 1e-7.
    opposite = np.array([[1.0, 0.0], [-1.0, 0.0]])
    kernel = _certified_kernel(opposite, np.ones(2), 1e-11)
    assert kernel is not None
    assert np.abs(kernel[:, 0]).tolist() == [0.0, 1.0]
    assert _certified_kernel(np.array([[1.0, 1e-9], [-1.0, 0.0]]), np.ones(2), 1e-11) is None
    assert _certified_kernel(opposite, np.array([1.0, 0.0]), 1e-11) is None
