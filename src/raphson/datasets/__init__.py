"""Real data that come with the package, for the demonstration and the documentation; :func:`list` says what for.

They are published observations, facts that nobody owns; each names the publication that it was typed from.

``beetles``
    Groups of flour beetles in gaseous carbon disulphide for five hours: ``log_dose``, the common logarithm of the
    concentration in mg/l; ``exposed``, how many there were, and ``killed``, how many died. Source: C. I. Bliss (1935),
    The calculation of the dosage-mortality curve, *Annals of Applied Biology* 22, 134-167.
``births``
    189 births at Baystate Medical Center, Springfield, Massachusetts, 1986: ``low``, whether the child
    weighed less than 2.5 kg; and of the mother ``age`` in years, ``lwt`` weight in pounds before the pregnancy,
    ``race``, ``smoke`` during the pregnancy, ``ptd`` an earlier premature labour, ``ht`` hypertension, ``ui`` uterine
    irritability, ``ftv`` visits to a physician in the first three months. Source: D. W. Hosmer and S. Lemeshow (1989),
    *Applied Logistic Regression*, Wiley, appendix 1 (here ``ptd`` is "one or more" and ``ftv`` is cut at 2, as in
    Venables and Ripley, *Modern Applied Statistics with S*, section 7.2).
``horsekicks``
    Men killed by the kick of a horse in each of 14 corps of the Prussian army in each of 20 years: ``corps`` (G is the
    guard), ``year``, ``deaths``. Source: L. von Bortkiewicz (1898), *Das Gesetz der kleinen Zahlen*, Teubner, section
    12.
``ozone``
    Air in New York, 111 days from May to September 1973: ``month``, ``day``; ``ozone`` in parts per billion, the mean
    from 13:00 to 15:00 at Roosevelt Island; ``solar``, radiation in langleys; ``wind``, miles per hour; ``temp``, the
    highest temperature in degrees Fahrenheit. Days of which one of these is missing are left out. Source: J. M.
    Chambers, W. S. Cleveland, B. Kleiner and P. A. Tukey (1983), *Graphical Methods for Data Analysis*, Wadsworth, from
    the New York State Department of Conservation and the National Weather Service.
``puromycin``
    Speed of an enzymatic reaction: ``conc``, the concentration of the substrate in ppm; ``rate``, counts per minute
    per minute of the radioactive product; ``state``, whether the enzyme was treated with puromycin. Source: M. A.
    Treloar (1974), master's thesis, University of Toronto; in D. M. Bates and D. G. Watts (1988), *Nonlinear
    Regression Analysis and its Applications*, Wiley, table A1.3.
``remissions``
    42 children with acute leukaemia in remission, in pairs of whom one was given 6-mercaptopurine: ``weeks`` until the
    relapse or, where ``relapsed`` is 0, until the end of the observation; ``treatment``. Source: E. J. Freireich and
    others (1963), The effect of 6-mercaptopurine on the duration of steroid-induced remissions in acute leukemia,
    *Blood* 21, 699-716.
``teeth``
    Growth of the face of 27 children, each measured at the ages of 8, 10, 12 and 14 years: ``child``, ``sex``, ``age``,
    and ``distance`` in millimetres from the centre of the pituitary to the pterygomaxillary fissure. Source: R. F.
    Potthoff and S. N. Roy (1964), A generalized multivariate analysis of variance model useful especially for growth
    curve problems, *Biometrika* 51, 313-326, table 1.
"""

from __future__ import annotations

import builtins
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from raphson.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class About:
    """What a data set is for, and where it comes from."""

    what_for: str
    source: str
    licence: str = "published facts; public domain"


ABOUT = {
    "beetles": About("dose-response, binomial with trials", "Bliss (1935)"),
    "births": About("logistic regression, factors", "Hosmer and Lemeshow (1989)"),
    "horsekicks": About("counts, Poisson regression", "von Bortkiewicz (1898)"),
    "ozone": About("a response that bends, smooth functions", "Chambers and others (1983)"),
    "puromycin": About("a curve, nonlinear least squares", "Treloar (1974)"),
    "remissions": About("survival times, censored", "Freireich and others (1963)"),
    "teeth": About("repeated measures, mixed models", "Potthoff and Roy (1964)"),
}


def names() -> builtins.list[str]:
    """Names of the data sets that :func:`load` knows.

    Examples
    --------
    >>> from raphson import datasets
    >>> datasets.names()
    ['beetles', 'births', 'horsekicks', 'ozone', 'puromycin', 'remissions', 'teeth']
    """
    return sorted(file.stem for file in _FOLDER.glob("*.csv"))


def list() -> pd.DataFrame:
    """The data sets: rows, columns, what each is for, its source and its licence, by name.

    Examples
    --------
    >>> from raphson import datasets
    >>> datasets.list()[["rows", "what_for"]]
                rows                                 what_for
    beetles        8      dose-response, binomial with trials
    births       189             logistic regression, factors
    horsekicks   280               counts, Poisson regression
    ozone        111  a response that bends, smooth functions
    puromycin     23         a curve, nonlinear least squares
    remissions    42                 survival times, censored
    teeth        108          repeated measures, mixed models
    """
    import pandas as pd

    frames = {name: load(name) for name in names()}
    table = {
        name: {"rows": len(frame), "columns": ", ".join(frame.columns), **asdict(ABOUT[name])}
        for name, frame in frames.items()
    }
    return pd.DataFrame.from_dict(table, orient="index")


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
