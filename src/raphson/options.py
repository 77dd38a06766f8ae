"""The options of a fit: every keyword once, with its default, its check and its help.

``rp.glm`` and the other functions that fit, the command line and scikit-learn's estimators all read these records. A
function's signature repeats names and defaults, for editors and type checkers; a test compares the two. To add a
keyword, add a field here and an argument to the signature; the command line then has it too.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, ClassVar, NamedTuple, Self, get_args

from raphson import choices as choice
from raphson.errors import ModelError, check_choice, one_line

Check = Callable[[str, Any], Any]
"""check(name, value) returns the value to use, or raises a ModelError."""


@dataclass(frozen=True)
class Option:
    """Properties of a keyword besides its name, type and default.

    Attributes
    ----------
    help : a phrase in ASCII, which begins the keyword's docstring and is shown by ``--help``.
    check : check of the value. Where the default is None, None is never checked.
    choices : the words that it accepts.
    closed : whether it accepts nothing else.
    shell : placeholder of the value on the command line; empty if there is no such option.
    """

    help: str
    check: Check | None
    choices: tuple[str, ...]
    closed: bool
    shell: str


def option(
    default: Any,
    help: str,
    choices: Any = None,
    check: Check | None = None,
    *,
    shell: str | None = None,
    none: bool | None = None,
    any_case: bool = False,
) -> Any:
    """A field of a record.

    Parameters
    ----------
    default, help, check, shell : as in :class:`Option`.
    choices : a Literal; `check` may accept other words too.
    none : whether messages list None among the choices; by default if the keyword's default is None.
    any_case : whether the choices, which are in lower case, may be written in capitals.
    """
    words = () if choices is None else get_args(choices)
    closed = bool(words) and check is None
    if closed:
        check = one_of(*words, *([None] if none or (none is None and default is None) else []), any_case=any_case)
    shell = shell if shell is not None else "WORD" if words else ""
    return field(default=default, metadata={"option": Option(help, check, words, closed, shell)})


class Keyword(NamedTuple):
    """A keyword of a function that fits, with its default there."""

    name: str
    default: Any
    option: Option
    group: str


def keywords(door: tuple[Record, ...]) -> Iterator[Keyword]:
    """The keywords that a function takes from its records."""
    for record in door:
        for one in fields(record):
            yield Keyword(one.name, getattr(record, one.name), one.metadata["option"], record.title)


# -- checks ------------------------------------------------------------------------------------------------------------


def positive(name: str, value: Any) -> float:
    """A positive number."""
    if type(value) is float and 0.0 < value < math.inf:
        return value  # as of most fits
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value) or value <= 0:
        raise ModelError(f"{name}: expected a positive number; got {one_line(value)}")
    return float(value)


def nodes(name: str, value: Any) -> int:
    """A number of nodes: 1, which is Laplace's approximation, or 5 to 200."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or int(value) not in (1, *range(5, 201)):
        raise ModelError(
            f"{name}: expected 1, which is Laplace's approximation, or 5 to 200 nodes; got {one_line(value)}"
        )
    return int(value)


def not_negative(name: str, value: Any) -> float:
    """A number that is not negative."""
    if type(value) is float and 0.0 <= value < math.inf:
        return value
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value) or value < 0:
        raise ModelError(f"{name}: expected a number, 0 or more; got {one_line(value)}")
    return float(value)


def share(name: str, value: Any) -> float:
    """A number in [0, 1)."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= float(value) < 1:
        raise ModelError(f"{name}: expected a number of at least 0 and less than 1; got {one_line(value)}")
    return float(value)


def count(name: str, value: Any) -> int:
    """A whole number that is not negative."""
    return _whole(name, value, 0)


def seed_or_none(seed: Any) -> int | None:
    """A seed of random numbers; None for others each time."""
    return None if seed is None else count("seed", seed)


def at_least_one(name: str, value: Any) -> int:
    """A whole number of 1 or more."""
    return _whole(name, value, 1)


def at_least_one_or_none(name: str, value: Any) -> int | None:
    """A whole number of 1 or more; None for no limit."""
    return None if value is None else at_least_one(name, value)


def _whole(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise ModelError(f"{name}: expected a whole number, {least} or more; got {one_line(value)}")
    return int(value)


def true_or_false(name: str, value: Any) -> bool:
    """True or False, of Python's type or NumPy's."""
    if type(value).__name__ not in ("bool", "bool_"):
        raise ModelError(f"{name}: expected True or False; got {one_line(value)}")
    return bool(value)


def units(name: str, value: Any) -> tuple[int, ...]:
    """The units of each layer; a single number means one layer."""
    widths = (value,) if isinstance(value, numbers.Integral) else value
    try:
        return tuple(at_least_one(name, width) for width in widths)
    except (TypeError, ModelError):
        raise ModelError(
            f"{name}: expected the number of units of each layer, such as (64, 64); got {one_line(value)}"
        ) from None


def one_of(*words: Any, any_case: bool = False) -> Check:
    """A check that the value is one of the words, which are in lower case if they may be written in `any_case`."""

    def check(name: str, value: Any) -> Any:
        meant = value.lower() if any_case and isinstance(value, str) and value.lower() in words else value
        check_choice(name, meant, words)
        return meant

    return check


def any_other(name: str, value: Any) -> Any:
    """Any value: it is checked where it is looked up."""
    return value


def _covariance(name: str, value: Any) -> str:
    """A word; whether there is such a covariance is checked where they are registered."""
    if not isinstance(value, str):
        check_choice(name, value, get_args(choice.Covariance))
    return value


def a_rule_or_number(name: str, value: Any) -> str | float:
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return positive(name, float(value))
    if not isinstance(value, str) or value not in get_args(choice.DispersionRule):
        raise ModelError(
            f"{name}: expected {', '.join(get_args(choice.DispersionRule))} or a number; got {one_line(value)}"
        )
    return value


def _progress(name: str, value: Any) -> Any:
    if not isinstance(value, bool) and not callable(value):
        raise ModelError(f"{name}: expected True, False or a function; got {one_line(value)}")
    return value


def _schedule(name: str, value: Any) -> Any:
    if not callable(value):
        check_choice(name, value, get_args(choice.Schedule))
    return value


def _executor(name: str, value: Any) -> Any:
    # Which objects of other packages are taken is checked where they are registered.
    if not callable(getattr(value, "map", None)):
        raise ModelError(
            f"{name}: expected rp.execute.threads(n), rp.execute.serial(), a pool of concurrent.futures, a client of "
            f"Dask or None; got {one_line(value)}"
        )
    return value


# -- records -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Record:
    """Base class of the records: keywords with checks."""

    title: ClassVar[str] = "the model"
    """Heading of the group of options on the command line."""

    def __post_init__(self) -> None:
        for name, default, check in _checks(type(self)):
            value = getattr(self, name)
            if value is not default:
                object.__setattr__(self, name, check(name, value))

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """The record made of those arguments that are its fields."""
        values = {name: given.get(name, default) for name, default in _defaults(cls)}
        for name, default, check in _checks(cls):
            value = values[name]
            if value is not default:
                values[name] = check(name, value)
        return cls._with(values)

    @classmethod
    def _with(cls, values: dict[str, Any]) -> Self:
        """A record with these values of all its fields, which have been checked."""
        made = object.__new__(cls)
        vars(made).update(values)
        return made


@cache
def _defaults(kind: type[Record]) -> tuple[tuple[str, Any], ...]:
    return tuple((one.name, one.default) for one in fields(kind))


@cache
def _checks(kind: type[Record]) -> tuple[tuple[str, Any, Callable[[str, Any], Any]], ...]:
    """Name, default and check of the fields that have a check; defaults are not checked."""
    found = ((one.name, one.default, one.metadata["option"].check) for one in fields(kind))
    return tuple((name, default, check) for name, default, check in found if check not in (None, any_other))


@dataclass(frozen=True)
class Iteration(Record):
    """How the maximum is found."""

    title: ClassVar[str] = "the iteration"
    method: choice.MethodName | str = option("newton", "how each step is computed", choice.MethodName, check=any_other)
    tol: float = option(
        1e-8,
        "distance to the maximum, in standard errors, at which one last full step is taken",
        check=positive,
        shell="NUMBER",
    )
    max_iter: int | None = option(None, "largest number of steps", check=count, shell="STEPS")
    damping: float = option(
        0.0, "damping of the first step, divided by 10 after each accepted one", check=not_negative, shell="NUMBER"
    )
    learning_rate: float | None = option(None, "first trial step size", check=positive, shell="NUMBER")
    seed: int | None = option(None, "seed of the random numbers", check=count, shell="SEED")
    progress: bool | Callable[..., None] = option(False, "whether to show the progress of the fit", check=_progress)
    executor: Any = option(None, "where sums over blocks are computed", check=_executor)

    @property
    def seeded(self) -> Iteration:
        """The same with the seed 0 where none is given."""
        return self if self.seed is not None else self._with(vars(self) | {"seed": 0})


@dataclass(frozen=True)
class Inference(Record):
    """How standard errors are computed; information and cov may be None until :meth:`completed`."""

    title: ClassVar[str] = "standard errors"
    information: choice.Information = option(
        None, "Fisher information that the covariance uses", choice.Information, none=False
    )
    cov: choice.Covariance = option(None, "covariance of the estimates", choice.Covariance, check=_covariance)
    groups: Any = option(None, 'cluster of each row, for cov="cluster"', shell="COLUMN")
    small_sample: choice.SmallSample | None = option(
        "full",
        'factor of cov="cluster" with G clusters: "full", G/(G - 1) * (n - 1)/(n - p), or "clusters", G/(G - 1) alone',
        choice.SmallSample,
        none=True,
    )

    def completed(self, information: choice.Information, cov: choice.Covariance = "model") -> Inference:
        """Fill in the model's defaults, and check that the options go together.

        Raises
        ------
        ModelError
        """
        cov = self.cov or ("cluster" if self.groups is not None else cov)
        if cov == "cluster" and self.groups is None:
            raise ModelError("groups: expected the cluster of each row for cov='cluster'; got None. Pass groups=")
        if self.small_sample != "full" and cov != "cluster":
            raise ModelError(
                f"small_sample: only cov='cluster' has this option, not cov={cov!r}; leave small_sample= out (HC1 is "
                "HC0 times n/(n - p))"
            )
        return self._with(vars(self) | {"information": self.information or information, "cov": cov})


@dataclass(frozen=True)
class _Rows(Record):
    """Options that concern rows."""

    weights: Any = option(None, "weight of each row, 0 or more", shell="COLUMN")
    weights_kind: choice.WeightsKind = option("precision", "what a weight stands for", choice.WeightsKind)
    missing: choice.Missing = option("drop", "what is done with rows that have missing values", choice.Missing)


@dataclass(frozen=True)
class _Dispersed(_Rows):
    """Options of models whose response may have a dispersion."""

    dispersion: choice.DispersionRule | float | None = option(
        None, "how the dispersion is estimated", choice.DispersionRule, check=a_rule_or_number, shell="RULE"
    )


@dataclass(frozen=True)
class _OfAFamily(_Dispersed):
    """Options of models with a family."""

    family: Any = option("gaussian", "distribution of the response", choice.FamilyName, check=any_other)
    trials: Any = option(None, "group sizes of a binomial response, which then counts successes", shell="COLUMN")
    offset: Any = option(None, "added to the linear predictor", shell="EXPRESSION")
    names: Any = option(None, "names of the columns of X")


@dataclass(frozen=True)
class LinearModel(_OfAFamily):
    """Options of a generalised linear model."""

    penalty: Any = option(None, "ridge penalty", shell="NUMBER")
    bias: choice.Bias | None = option(
        None, "reduction of the estimates' bias, which keeps them finite under separation", choice.Bias
    )
    criterion: choice.Criterion | None = option(
        None,
        "what is maximised where coefficients vary",
        choice.Criterion,
        any_case=True,
    )
    quadrature: int | None = option(
        None, "nodes of Gauss-Hermite quadrature in place of Laplace's approximation", check=nodes, shell="COUNT"
    )
    start: Any = option(None, "starting values", shell="NUMBER,...")
    rows: choice.StartRows = option(
        "part", "rows of large data with which the iteration begins: part of them, or all", choice.StartRows
    )
    storage: choice.Storage = option("float64", "how the numbers of a large dense design are held", choice.Storage)
    by: Any = option(None, "column whose groups are fitted separately", shell="COLUMN")
    checkpoint: Any = option(None, "file to which each pass over streamed data is saved", shell="FILE")


@dataclass(frozen=True)
class Curve(_Dispersed):
    """Options of a curve."""

    title: ClassVar[str] = "the curve"
    start: Any = option(None, "starting values by name; the others are searched for", shell="NAME=NUMBER,...")
    bounds: Any = option(None, "lower and upper bounds by name", shell="NAME=LOW:HIGH,...")
    fixed: Any = option(None, "values by name of parameters that are not estimated", shell="NAME=NUMBER,...")
    by: str | None = option(None, "column whose values separate independent curves", shell="COLUMN")
    loss: choice.Loss = option("squared", "loss of the residuals", choice.Loss)
    scale: float | None = option(
        None, "scale of a robust loss; if not given, estimated with the curve", check=positive, shell="NUMBER"
    )
    derivatives: choice.Derivatives = option("exact", "how derivatives are computed", choice.Derivatives, shell="")
    sigma: Any = option(None, "standard deviations of the responses: weights 1/sigma**2", shell="COLUMN")
    absolute_sigma: bool = option(
        False, "whether sigma are the standard deviations themselves (dispersion 1)", check=true_or_false, shell="FLAG"
    )
    penalty: Any = option(None, "ridge penalty", shell="NUMBER")
    checkpoint: Any = option(None, "file to which each pass over streamed data is saved", shell="FILE")


@dataclass(frozen=True)
class Likelihood(_Rows):
    """Options of a likelihood that the user writes."""

    start: Any = option(None, "starting values", shell="NUMBER,...")
    columns: Any = option(
        None, "values of the density's keywords that are not columns of the same name", shell="NAME=COLUMN,..."
    )
    storage: choice.Storage = option("float64", "how the numbers of large dense designs are held", choice.Storage)
    derivatives: choice.Derivatives = option("exact", "how derivatives are computed", choice.Derivatives, shell="")
    penalty: Any = option(None, "ridge penalty", shell="NUMBER")
    bias: choice.Bias | None = option(None, "Jeffreys' penalty", choice.Bias)
    criterion: choice.Criterion | None = option(
        None,
        "what is maximised where coefficients vary",
        choice.Criterion,
        any_case=True,
    )
    checkpoint: Any = option(None, "file to which each pass over streamed data is saved", shell="FILE")


@dataclass(frozen=True)
class Layers(_OfAFamily):
    """Options of a network."""

    title: ClassVar[str] = "the network"
    hidden: tuple[int, ...] = option((64, 64), "units of each hidden layer", check=units, shell="UNITS,...")
    activation: choice.Activation = option("relu", "activation function of the hidden units", choice.Activation)
    batch_norm: bool = option(
        False, "whether each hidden layer normalises its units", check=true_or_false, shell="FLAG"
    )
    residual: choice.Shortcut | None = option(None, "skip connection around each hidden layer", choice.Shortcut)
    dropout: float = option(
        0.0, "share of the hidden units that a training step leaves out", check=share, shell="NUMBER"
    )
    weight_decay: float = option(
        0.0, "factor of half the squared weights, added to the loss", check=not_negative, shell="NUMBER"
    )
    start: Any = option(None, "starting values of the weights")


@dataclass(frozen=True)
class Training(Record):
    """How a network is trained."""

    title: ClassVar[str] = "the training"
    schedule: Any = option("constant", "how the learning rate changes", choice.Schedule, check=_schedule)
    batch_size: int | None = option(None, "rows in each batch", check=at_least_one, shell="COUNT")
    epochs: int = option(200, "passes over the data", check=count, shell="COUNT")
    validation: float | None = option(None, "share of the rows held out for validation", check=share, shell="NUMBER")
    patience: int | None = option(
        20, "epochs without a lower validation loss after which to stop", check=at_least_one_or_none, shell="COUNT"
    )
    update: choice.Update = option("whole", "what a step updates at once", choice.Update)
    precision: choice.Precision | None = option(None, "precision in which batches are computed", choice.Precision)
    checkpoint: Any = option(None, "file to which the training is saved", shell="FILE")


# -- the records of each function --------------------------------------------------------------------------------------

GLM = (LinearModel(), Inference(information="expected"), Iteration(method="fisher-scoring"))
NLS = (Curve(), Inference(), Iteration(method="levenberg-marquardt"))
MLE = (Likelihood(), Inference(information="observed"), Iteration(method="newton"))
NETWORK = (Layers(), Training(), Iteration(method="adam", seed=0))
