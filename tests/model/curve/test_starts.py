from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from raphson.model.curve.dimensions import Dimensions
from raphson.model.curve.starts import DIFFERENT, SearchRegion, distinct, ends, search
from raphson.model.curve.waves import Phase, Wave, spectrum


def search_region(given, exponents=None, position=None, box=None, drawn=None) -> SearchRegion:
    given = np.array(given, dtype=float)
    p = len(given)
    known = None
    if exponents is not None:
        known = Dimensions(np.array(exponents, float), np.zeros((p, 1)) if position is None else np.array(position))
    drawn = np.ones(p, dtype=bool) if drawn is None else np.array(drawn)
    return SearchRegion(given, drawn, np.array([100.0, 0.0]), np.array([300.0, 5.0]), known, box)


def test_scales_follow_the_dimension() -> None:
    nan = np.nan
    points = search_region([nan, nan, nan], [[-1, 0], [1, 0], [0, 1]]).draw(4000, np.random.default_rng(0))
    middle = np.median(np.log10(np.abs(points)), axis=0)
    # 1/x and x for x up to 300 with a range of 200, and y with a range of 5.
    np.testing.assert_allclose(middle, [-np.log10(245), np.log10(245), np.log10(5)], atol=0.15)
    assert np.ptp(np.log10(np.abs(points)), axis=0).min() > 3.5


def test_positions_lie_in_the_range_of_the_data() -> None:
    points = search_region([np.nan], [[1, 0]], [[1.0]]).draw(2000, np.random.default_rng(0))[:, 0]
    assert 0.4 < np.mean((points > 80) & (points < 320)) < 0.9
    mirrored = search_region([np.nan], [[1, 0]], [[-1.0]]).draw(2000, np.random.default_rng(0))[:, 0]
    assert np.mean((mirrored < -80) & (mirrored > -320)) > 0.4


def test_given_values_are_varied_and_others_kept() -> None:
    points = search_region([2.0, 7.0], [[0, 0], [0, 0]], drawn=[True, False]).draw(500, np.random.default_rng(0))
    assert (points[:, 1] == 7.0).all() and len(np.unique(points[:, 0])) == 500
    assert np.mean((points[:, 0] > 0.02) & (points[:, 0] < 200)) > 0.8


def test_the_box_is_kept() -> None:
    box = np.array([0.5, -np.inf]), np.array([0.6, 0.0])
    region = search_region([np.nan, np.nan], box=box)
    random = np.random.default_rng(0)
    points = np.concatenate([region.draw(300, random), region.offspring(region.draw(5, random), 300, random)])
    assert ((points >= box[0]) & (points <= box[1])).all()


@pytest.mark.parametrize("unknown", [True, False])
def test_the_minimum_of_a_rugged_function_is_found(unknown) -> None:
    def value(points):
        away = np.log(np.abs(points / [3e-3, 170.0])) ** 2 + (np.sign(points) < 0)
        return np.sum(away + 0.3 * (1 - np.cos(5 * away)), axis=1)

    given = [np.nan, np.nan] if unknown else [1e-1, 3.0]
    best = search(search_region(given, [[-1, 0], [1, 0]]), value, 5, seed=3)
    np.testing.assert_allclose(best[0], [3e-3, 170.0], rtol=0.2)
    assert (np.diff(value(best)) >= 0).all()
    np.testing.assert_array_equal(best, search(search_region(given, [[-1, 0], [1, 0]]), value, 5, seed=3))


def test_points_without_a_value_are_passed_over() -> None:
    assert not len(search(search_region([1.0]), lambda points: np.full(len(points), np.nan), 3, seed=0))
    values = np.array([np.inf, 2.0, np.nan, 1.0])
    assert distinct(np.array([[1.0], [2.0], [3.0], [-2.0]]), values, 4).tolist() == [3, 1]


@pytest.mark.parametrize("count", [1, 3, 20])
def test_each_point_is_far_from_every_better_one(count: int) -> None:
    random = np.random.default_rng(count)
    points = np.exp(0.3 * random.normal(size=(200, 2))) * random.choice([-1.0, 0.0, 1.0], (200, 2), p=[0.1, 0.1, 0.8])
    values = random.permutation(200.0 // np.arange(1, 201))  # with ties: the first of them is the better

    def apart(one: np.ndarray, other: np.ndarray) -> bool:
        with np.errstate(divide="ignore", invalid="ignore"):
            return any(
                a != b and (a * b <= 0 or abs(np.log(a / b)) > DIFFERENT) for a, b in zip(one, other, strict=True)
            )

    kept: list[int] = []
    for i in np.argsort(values, kind="stable"):
        if len(kept) < count and all(apart(points[i], points[k]) for k in kept):
            kept.append(int(i))
    assert distinct(points, values, count).tolist() == kept


def test_the_ends_of_covariates_in_any_structure() -> None:
    x = np.array([3.0, -1.0])
    assert ends(x) == [(-1.0, 3.0)] and ends(np.zeros((0,))) == [(0.0, 0.0)]
    # In the order in which JAX flattens dicts.
    assert ends({"b": x, "a": (2 * x, np.array(5.0))}) == [(-2.0, 6.0), (5.0, 5.0), (-1.0, 3.0)]


def test_frequencies_are_drawn_where_the_data_have_them_and_bred_in_their_own_measure() -> None:
    x = np.linspace(0, 100, 300)
    seen = spectrum(x, np.sin(7.0 * x))
    base = search_region([np.nan, np.nan], [[-1, 0], [0, 0]])
    region = replace(base, spectra=((Wave(0, 0, 2.0, 1), seen),), phases=(Phase(1, 1.0),))
    random = np.random.default_rng(0)
    points = region.draw(2000, random)
    assert np.mean(np.abs(np.abs(points[:, 0]) - 3.5) < seen.width) > 0.15
    assert np.abs(points[:, 1]).max() <= np.pi
    bred = region.offspring(np.array([[3.5, 1.0]]), 400, random)
    assert np.median(np.abs(bred[:, 0] - 3.5)) < seen.width
