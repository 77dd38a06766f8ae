"""Real data that come with the package, for the demonstration and the documentation.

``births``
    189 births at Baystate Medical Center, Springfield, Massachusetts, 1986: ``low``, whether the child
    weighed less than 2.5 kg; and of the mother ``age`` in years, ``lwt`` weight in pounds before the pregnancy,
    ``race``, ``smoke`` during the pregnancy, ``ptd`` an earlier premature labour, ``ht`` hypertension, ``ui`` uterine
    irritability, ``ftv`` visits to a physician in the first three months. Source: D. W. Hosmer and S. Lemeshow (1989),
    *Applied Logistic Regression*, Wiley, appendix 1 (here ``ptd`` is "one or more" and ``ftv`` is cut at 2, as in
    Venables and Ripley, *Modern Applied Statistics with S*, section 7.2).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from raphson.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

_FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Names of the data sets that :func:`load` knows.

    Examples
    --------
    >>> from raphson import datasets
    >>> datasets.names()
    ['births']
    """
    return sorted(file.stem for file in _FOLDER.glob("*.csv"))


def path(name: str) -> Path:
    """The path of a data set's CSV file.

    Parameters
    ----------
    name : str
        One of :func:`names`.

    Raises
    ------
    DataError
        If there is no such data set.

    Examples
    --------
    >>> from raphson import datasets
    >>> datasets.path("births").name
    'births.csv'
    """
    # The list is checked first, so that no name can lead out of the folder.
    if name not in names():
        raise DataError(f"name: expected one of the data sets {', '.join(names())}; got {name!r}")
    return _FOLDER / f"{name}.csv"


def load(name: str) -> pd.DataFrame:
    """Read a data set as a data frame.

    Parameters
    ----------
    name : str
        One of :func:`names`.

    Raises
    ------
    DataError
        If there is no such data set.

    Examples
    --------
    >>> from raphson import datasets
    >>> births = datasets.load("births")
    >>> births.shape
    (189, 9)
    >>> int(births["low"].sum())
    59
    """
    import pandas as pd

    return pd.read_csv(path(name))
