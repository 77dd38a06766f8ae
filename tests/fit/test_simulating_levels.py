from __future__ import annotations

import numpy as np
import pandas as pd

import raphson as rp


def test_a_multinomial_is_checked_level_by_level() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=300)
    eta = np.column_stack([np.zeros(300), x, 2.0 * x * x - 2.0])
    m = np.array(list("uvw"))[np.argmax(eta + rng.gumbel(size=(300, 3)), axis=1)]
    data = pd.DataFrame({"x": x, "m": m, "g": np.where(rng.random(300) < 0.5, "a", "b")})
    wrong = rp.glm("m ~ x", data, family="multinomial").check(200)
    right = rp.glm("m ~ x + I(x**2) + g", data, family="multinomial").check(200)
    assert not wrong["straight: x"].passed and wrong["straight: x"].doubt.startswith("w is")
    assert right.passed and {"calibration: u", "calibration: v", "calibration: w"} <= set(right.table.index)
    assert "even: g" not in right.table.index  # the fit holds these shares
    pd.testing.assert_frame_equal(wrong.table, rp.glm("m ~ x", data, family="multinomial").check(200).table)
