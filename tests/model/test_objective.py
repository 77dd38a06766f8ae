"""What an objective is where it says nothing of itself, and what is made of another one."""

from __future__ import annotations

import numpy as np

from raphson.inference.restricted import Restricted
from raphson.model.bias.jeffreys import JeffreysPenalised
from raphson.model.objective import VALUE, DerivedObjective, Evaluation, Gram, Objective
from raphson.newton.maximize import maximize
from raphson.newton.methods import METHODS
from raphson.status import Status


class Parabola(Objective):
    """−½ |θ − (1, 2)|² in a box, all else being as an objective has it by itself."""

    n_params, n_rows = 2, 1
    bounds = np.array([-9.0, -9.0]), np.array([9.0, 1.5])

    def evaluate(self, theta, need=VALUE):
        away = np.array([1.0, 2.0]) - theta
        return Evaluation(
            theta, -0.5 * float(away @ away), away, {k: Gram(np.eye(2)) for k in need.kinds}, 1.0, -1.0, 1
        )


def test_six_members_are_enough():
    found = maximize(Parabola(), np.zeros(2), METHODS["newton"])
    assert found.status is Status.CONVERGED and found.theta.tolist() == [1.0, 1.5]
    assert found.at_bound.tolist() == [False, True]


def test_what_is_made_of_another_forgets_nothing():
    class Told(Parabola):
        pass

    asked = []
    properties = [name for name, member in vars(Objective).items() if isinstance(member, property)]
    for name in properties:
        setattr(Told, name, property(lambda self, name=name: asked.append(name)))
    derived = DerivedObjective(Told())
    for name in properties:
        asked.clear()
        getattr(derived, name)
        assert asked == ["edges" if name == "walled" else name]
    methods = {name for name, member in vars(Objective).items() if callable(member) and not name.startswith("_")}
    assert methods <= set(vars(DerivedObjective))


def test_a_derived_objective_is_the_same_but_for_what_it_says():
    plane = Restricted(Parabola(), np.array([0.0, 1.0]), np.array([[1.0], [0.0]]))
    assert (plane.n_params, plane.n_rows, plane.bounds, plane.main_kind) == (1, 1, None, "expected")
    assert plane.evaluate(np.array([9.5])).value == -np.inf
    assert maximize(plane, np.zeros(1), METHODS["newton"]).theta.tolist() == [1.0]
    assert issubclass(JeffreysPenalised, DerivedObjective) and not JeffreysPenalised(Parabola()).walled
