"""``scipy.special``, imported when a function of it is first used: it takes 0.1 s, and many fits need none.

>>> from raphson import scipy_special as special
>>> float(special.expit(0.0))
0.5
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scipy.special import *  # noqa: F403  # pyright: ignore[reportWildcardImportFromLibrary]
else:

    def __getattr__(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        from scipy import special

        value = globals()[name] = getattr(special, name)
        return value
