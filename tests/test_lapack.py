from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from raphson import lapack

ALONE = """
import sys
from raphson import lapack
import numpy as np
L, info = lapack.dpotrf(np.array([[4.0, 2.0], [2.0, 5.0]]), lower=1)
assert info == 0 and np.allclose(L @ L.T, [[4.0, 2.0], [2.0, 5.0]]), L
assert not [name for name in sys.modules if name.startswith("scipy.linalg")]
import scipy.linalg
from scipy.linalg import lapack as whole
assert all(getattr(whole, name) is getattr(lapack, name) for name in ("dgeqrf", "dpotrf", "dtrcon", "dtrtri", "dtrtrs"))
assert np.allclose(scipy.linalg.eigvalsh(np.diag([1.0, 2.0])), [1.0, 2.0])
assert scipy.linalg._flapack.dpotrf is lapack.dpotrf
"""


def test_the_routines_come_without_scipys_package_and_are_the_same_as_with_it():
    subprocess.run([sys.executable, "-c", ALONE], check=True)


@pytest.mark.parametrize("wrong", [ImportError, AttributeError, OSError])
def test_where_they_are_not_as_expected_the_package_has_them(monkeypatch, wrong):
    def refused():
        raise wrong

    monkeypatch.setattr(lapack, "_alone", refused)
    monkeypatch.setattr(lapack, "sys", SimpleNamespace(modules={}))
    assert lapack._routines().dpotrf(np.eye(2))[1] == 0


def test_other_names_are_unknown():
    with pytest.raises(AttributeError):
        _ = lapack.no_such_routine
    with pytest.raises(AttributeError):
        _ = lapack.__no_such_name__
