from __future__ import annotations

import numpy as np

from raphson.model.curve.label_switching import apart, changed, equally_good, exchanged


def test_stretches_of_every_length_change_places():
    theta = np.array([1.0, 2.0, 3.0, 4.0])
    found = {tuple(point) for point in exchanged(theta, np.arange(4))}
    assert (3.0, 4.0, 1.0, 2.0) in found and (4.0, 2.0, 3.0, 1.0) in found
    assert len(found) == 6 + 1 and all(sorted(point) == [1, 2, 3, 4] for point in found)
    assert len(list(changed(theta, np.arange(4), np.arange(4)))) == 4 + 7


def test_another_sign_is_further_than_a_factor():
    start = np.array([1.0, 2.0])
    assert apart(start, start) == 0.0
    assert apart(np.array([-1.0, 2.0]), start) > apart(np.array([1e4, 2.0]), start) > apart(np.array([2.0, 2.0]), start)


def test_what_fits_as_well_is_listed_once():
    theta, x = np.array([0.5, 2.0, 7.0]), np.linspace(0.0, 1.0, 9)

    def curve(t):
        return np.exp(-t[0] * x) + np.exp(-t[1] * x) + t[2]

    def found(*met):
        points = equally_good(theta, np.arange(3), lambda t: t, curve, met, np.full(3, 0.01))
        return [point.tolist() for point in points]

    assert found() == [[2.0, 0.5, 7.0]]
    # Points met that are one of these, but for signs, are no news; one that is elsewhere is.
    assert found(theta * 1.00001, np.array([-2.0, 0.5, 7.0])) == [[2.0, 0.5, 7.0]]
    assert found(np.array([0.1, 3.0, 7.0])) == [[2.0, 0.5, 7.0], [0.1, 3.0, 7.0]]
