"""LAPACK's routines as ``scipy.linalg.lapack`` has them, imported without the rest of ``scipy.linalg``.

They are in one compiled module, which takes 3 ms to import; ``scipy.linalg`` with what it needs takes 100.
"""

from __future__ import annotations

import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

_MODULE = "scipy.linalg._flapack"

if TYPE_CHECKING:
    dgeqrf: Any
    dpotrf: Any
    dpotri: Any
    dpotrs: Any
    dtrcon: Any
    dtrtri: Any
    dtrtrs: Any
else:

    def __getattr__(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        value = globals()[name] = getattr(_routines(), name)
        return value


def _routines() -> Any:
    """The compiled module; all of ``scipy.linalg.lapack`` if it is there already, or the module is not as expected."""
    if "scipy.linalg" not in sys.modules:
        try:
            return _alone()
        except (ImportError, AttributeError, OSError):
            pass
    from scipy.linalg import lapack

    return lapack


def _alone() -> Any:
    """The module without its package, which imports it again if it is asked for: then it gets the same routines."""
    import scipy

    spec = PathFinder.find_spec(_MODULE, [str(Path(scipy.__file__).parent / "linalg")])
    if spec is None or spec.loader is None:
        raise ImportError(_MODULE)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules.pop(_MODULE, None)
    _ = module.dpotrf  # an AttributeError where it has other names
    return module
