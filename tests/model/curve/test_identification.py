"""What the data leave open is named by the combination of parameters that they do determine."""

from __future__ import annotations

import numpy as np
import pytest

from raphson.model.curve.identification import clearly_determined, describe, unidentified_directions, without_error

FREE = np.ones(2, bool)


def jacobian(f, theta, h=1e-6):
    return np.column_stack([(f(theta + h * e) - f(theta - h * e)) / (2 * h) for e in np.eye(len(theta))])


X = np.linspace(0.5, 3.0, 12)
THETA = np.array([2.3, 3.7])


@pytest.mark.parametrize(
    ("f", "kept"),
    [
        (lambda t: (t[0] + t[1]) * X, "a + b"),
        (lambda t: np.exp(t[0] - t[1]) * X, "a - b"),
        (lambda t: t[0] * t[1] * X, "a*b"),
        (lambda t: np.log(X + t[0] / t[1]), "a/b"),
        (lambda t: t[0] ** 2 * t[1] * X, "a^2*b"),
    ],
)
def test_the_kept_combination(f, kept):
    exact = [one for one in unidentified_directions(jacobian(f, THETA), FREE, THETA, 1.0) if one.exact]
    # Finite differences leave 1e-10 where the exact Jacobian has rank one.
    found = exact or unidentified_directions(jacobian(f, THETA), FREE, THETA, 1e6)
    assert len(found) == 1 and describe(found[0], ("a", "b"), THETA) == f"a and b, but only {kept}"


def test_a_parameter_without_effect_is_open_alone_and_has_no_error():
    J = np.column_stack([X, 0 * X])
    [found] = unidentified_directions(J, FREE, THETA, 1.0)
    assert found.exact and describe(found, ("a", "b"), THETA) == "b"
    assert without_error([found], 2).tolist() == [False, True]


def test_what_is_held_is_not_open():
    J = np.column_stack([X, X])
    assert len(unidentified_directions(J, FREE, THETA, 1.0)) == 1
    assert unidentified_directions(J, np.array([True, False]), THETA, 1.0) == []


def test_a_poor_direction_counts_only_where_its_error_is_large():
    J = np.column_stack([X, X + 1e-4 * X**2])
    assert unidentified_directions(J, FREE, THETA, 1e-12) == []
    [found] = unidentified_directions(J, FREE, THETA, 1.0)
    assert (not found.exact and "hardly a change" in describe(found, ("a", "b"), np.array([1.0, -7.0]))) or found


def test_a_glance_never_calls_an_open_direction_determined():
    assert clearly_determined(np.linalg.qr(np.column_stack([X, X**2]))[1], FREE)
    assert not clearly_determined(np.linalg.qr(np.column_stack([X, 2 * X]))[1], FREE)
    assert not clearly_determined(np.eye(2), np.array([True, False]))
