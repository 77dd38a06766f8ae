from __future__ import annotations

import subprocess
import sys

import pytest
from scipy import special

from raphson import scipy_special

LATE = """
import sys
from raphson import scipy_special
assert "scipy.special" not in sys.modules
assert scipy_special.expit(0.0) == 0.5 and "scipy.special" in sys.modules
"""


def test_functions_are_scipys():
    assert scipy_special.gammaln is special.gammaln


def test_they_are_imported_when_first_used():
    subprocess.run([sys.executable, "-c", LATE], check=True)


def test_other_names_are_unknown():
    with pytest.raises(AttributeError):
        _ = scipy_special.no_such_function
    with pytest.raises(AttributeError):
        _ = scipy_special.__no_such_name__
