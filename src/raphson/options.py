"""What a user may say about a fit: every keyword once, with its default, its check and its help.

The front doors, the command line and scikit-learn's estimators all read these records. A door's signature repeats
names and defaults, for those who complete and check code; a test holds the two together. To add a keyword to a door is
a field here and an argument in the signature; the command line then has it, too.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any, ClassVar, NamedTuple, Self, get_args

from raphson import choices as may_be
from raphson.errors import ModelError, check_choice, one_line

Check = Callable[[str, Any], Any]
"""check(name, value) gives the value as it is kept, or raises a ModelError."""


@dataclass(frozen=True)
class Option:
    """What is known of a keyword besides its name, type and default.

    Attributes
    ----------
    help : a phrase in ASCII, with which docstrings begin and which ``--help`` shows.
    check : of the value. Where the default is None, None is never checked.
    choices : the words that it may be.
    closed : whether it may be nothing else.
    shell : how the command line writes a value; empty where it has no such option.
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
) -> Any:
    """A field of a record.

    Parameters
    ----------
    default, help, check, shell : of the keyword.
    choices : a Literal, to whose words `check` may add others.
    none : whether None is one of the choices that a message names; where it is the default, unless said otherwise.
    """
    words = () if choices is None else get_args(choices)
    closed = bool(words) and check is None
    if closed:
        check = one_of(*words, *([None] if none or (none is None and default is None) else []))
    shell = shell if shell is not None else "WORD" if words else ""
    return field(default=default, metadata={"option": Option(help, check, words, closed, shell)})


class Keyword(NamedTuple):
    """A keyword of a front door, with the default that it has there."""

    name: str
    default: Any
    option: Option
    group: str


def keywords(door: tuple[Record, ...]) -> Iterator[Keyword]:
    """The keywords that a front door takes from its records."""
    for record in door:
        for one in fields(record):
            yield Keyword(one.name, getattr(record, one.name), one.metadata["option"], record.title)


# -- checks ------------------------------------------------------------------------------------------------------------


def positive(name: str, value: Any) -> float:
    """A positive number."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value) or value <= 0:
        raise ModelError(f"{name}: expected a positive number; got {one_line(value)}")
    return float(value)


def not_negative(name: str, value: Any) -> float:
    """A number that is not negative."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value) or value < 0:
        raise ModelError(f"{name}: expected a number, 0 or more; got {one_line(value)}")
    return float(value)


def share(name: str, value: Any) -> float:
    """A number from 0 up to, and without, 1."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= float(value) < 1:
        raise ModelError(f"{name}: expected a share, 0 or more and less than 1; got {one_line(value)}")
    return float(value)


def count(name: str, value: Any) -> int:
    """A whole number that is not negative."""
    return _whole(name, value, 0)


def at_least_one(name: str, value: Any) -> int:
    """A whole number of 1 or more."""
    return _whole(name, value, 1)


def _whole(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise ModelError(f"{name}: expected a whole number, {least} or more; got {one_line(value)}")
    return int(value)


def true_or_false(name: str, value: Any) -> bool:
    """A truth value; NumPy has its own."""
    if type(value).__name__ not in ("bool", "bool_"):
        raise ModelError(f"{name}: expected True or False; got {one_line(value)}")
    return bool(value)


def units(name: str, value: Any) -> tuple[int, ...]:
    """The units of each layer; of one layer also the number alone."""
    widths = (value,) if isinstance(value, numbers.Integral) else value
    try:
        return tuple(at_least_one(name, width) for width in widths)
    except (TypeError, ModelError):
        raise ModelError(
            f"{name}: expected the units of each layer, whole numbers of 1 or more; got {one_line(value)}"
        ) from None


def one_of(*words: Any) -> Check:
    """One of some words."""

    def check(name: str, value: Any) -> Any:
        check_choice(name, value, words)
        return value

    return check


def any_other(name: str, value: Any) -> Any:
    """A word or something else, which is checked where it is looked up."""
    return value


def _covariance(name: str, value: Any) -> str:
    """A word; whether there is such a covariance is for those to say who know them all."""
    if not isinstance(value, str):
        check_choice(name, value, get_args(may_be.Covariance))
    return value


def a_rule_or_number(name: str, value: Any) -> str | float:
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        return positive(name, float(value))
    if not isinstance(value, str) or value not in get_args(may_be.DispersionRule):
        raise ModelError(
            f"{name}: expected {', '.join(get_args(may_be.DispersionRule))} or a number; got {one_line(value)}"
        )
    return value


def _progress(name: str, value: Any) -> Any:
    if not isinstance(value, bool) and not callable(value):
        raise ModelError(f"{name}: expected True, False or a function; got {one_line(value)}")
    return value


def _schedule(name: str, value: Any) -> Any:
    if not callable(value):
        check_choice(name, value, get_args(may_be.Schedule))
    return value


def _executor(name: str, value: Any) -> Any:
    # An executor of the standard library has a map too, which gives an iterator and no list.
    if not callable(getattr(value, "map", None)) or hasattr(value, "submit"):
        raise ModelError(f"{name}: expected rp.execute.threads(n), rp.execute.serial() or None; got {one_line(value)}")
    return value


# -- records -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Record:
    """Some keywords, checked."""

    title: ClassVar[str] = "the model"
    """What the command line heads them with."""

    def __post_init__(self) -> None:
        for name, default, check in _checks(type(self)):
            value = getattr(self, name)
            if value is not default:
                object.__setattr__(self, name, check(name, value))

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """The record's own among a door's arguments."""
        return cls(**{name: given[name] for name in _names(cls) if name in given})


@cache
def _names(kind: type[Record]) -> tuple[str, ...]:
    return tuple(one.name for one in fields(kind))


@cache
def _checks(kind: type[Record]) -> tuple[tuple[str, Any, Callable[[str, Any], Any]], ...]:
    """Name, default and check of the fields that are checked; a default is as it should be."""
    found = ((one.name, one.default, one.metadata["option"].check) for one in fields(kind))
    return tuple((name, default, check) for name, default, check in found if check not in (None, any_other))


@dataclass(frozen=True)
class Iteration(Record):
    """How the maximum is looked for."""

    title: ClassVar[str] = "the iteration"
    method: may_be.MethodName | str = option("newton", "how each step is found", may_be.MethodName, check=any_other)
    tol: float = option(
        1e-8,
        "distance to the maximum, in standard errors, at which one last full step is taken",
        check=positive,
        shell="NUMBER",
    )
    max_iter: int | None = option(None, "steps allowed", check=count, shell="STEPS")
    damping: float = option(
        0.0, "damping of the first step, a tenth of it after each accepted one", check=not_negative, shell="NUMBER"
    )
    learning_rate: float | None = option(None, "first trial step size", check=positive, shell="NUMBER")
    seed: int | None = option(None, "seed of what is random in the fit", check=count, shell="SEED")
    progress: bool | Callable[..., None] = option(False, "whether to show how far the fit has come", check=_progress)
    executor: Any = option(None, "where sums over blocks run", check=_executor)


@dataclass(frozen=True)
class Inference(Record):
    """What standard errors come from; information and cov may be None until :meth:`completed`."""

    title: ClassVar[str] = "standard errors"
    information: may_be.Information = option(
        None, "Fisher information that the covariance uses", may_be.Information, none=False
    )
    cov: may_be.Covariance = option(None, "covariance of the estimates", may_be.Covariance, check=_covariance)
    groups: Any = option(None, 'cluster of each row, for cov="cluster"', shell="COLUMN")
    small_sample: may_be.SmallSample | None = option(
        "full",
        'factor of cov="cluster" with G clusters: "full", G/(G - 1) * (n - 1)/(n - p), or "clusters", G/(G - 1) alone',
        may_be.SmallSample,
        none=True,
    )

    def completed(self, information: may_be.Information, cov: may_be.Covariance = "model") -> Inference:
        """This with what was left open as the model has it, and held to what goes together.

        Raises
        ------
        ModelError
        """
        cov = self.cov or ("cluster" if self.groups is not None else cov)
        if cov == "cluster" and self.groups is None:
            raise ModelError("groups: cov='cluster' needs groups=, the cluster of each row")
        if self.small_sample != "full" and cov != "cluster":
            raise ModelError(
                f"small_sample: it is the factor of cov='cluster', and cov={cov!r} has its own: HC0 none, "
                "HC1 n/(n - p); leave small_sample= out"
            )
        return replace(self, information=self.information or information, cov=cov)


@dataclass(frozen=True)
class _Rows(Record):
    """What is said of each row."""

    weights: Any = option(None, "weight of each row, 0 or more", shell="COLUMN")
    weights_kind: may_be.WeightsKind = option("precision", "what a weight stands for", may_be.WeightsKind)
    missing: may_be.Missing = option("drop", "what becomes of rows with missing values", may_be.Missing)


@dataclass(frozen=True)
class _Dispersed(_Rows):
    """Rows whose response may have a dispersion."""

    dispersion: may_be.DispersionRule | float | None = option(
        None, "how the dispersion is found", may_be.DispersionRule, check=a_rule_or_number, shell="RULE"
    )


@dataclass(frozen=True)
class _OfAFamily(_Dispersed):
    """A response with a distribution that has a name."""

    family: Any = option("gaussian", "distribution of the response", may_be.FamilyName, check=any_other)
    trials: Any = option(None, "group sizes of a binomial response, which then counts successes", shell="COLUMN")
    offset: Any = option(None, "added to the linear predictor", shell="EXPRESSION")
    names: Any = option(None, "names of the columns of X")


@dataclass(frozen=True)
class LinearModel(_OfAFamily):
    """What is said of a generalised linear model."""

    penalty: Any = option(None, "ridge penalty", shell="NUMBER")
    bias: may_be.Bias | None = option(
        None, "reduction of the estimates' bias, which keeps them finite under separation", may_be.Bias
    )
    start: Any = option(None, "where the iteration begins", shell="NUMBER,...")


@dataclass(frozen=True)
class Curve(_Dispersed):
    """What is said of a curve."""

    title: ClassVar[str] = "the curve"
    start: Any = option(None, "starting values by name; the others are looked for", shell="NAME=NUMBER,...")
    bounds: Any = option(None, "lower and upper bounds by name", shell="NAME=LOW:HIGH,...")
    fixed: Any = option(None, "values by name of parameters that are not estimated", shell="NAME=NUMBER,...")
    by: str | None = option(None, "column whose values tell independent curves apart", shell="COLUMN")
    loss: may_be.Loss = option("squared", "loss of the residuals", may_be.Loss)
    scale: float | None = option(None, "scale of a robust loss, estimated if not given", check=positive, shell="NUMBER")
    derivatives: may_be.Derivatives = option("exact", "how derivatives are found", may_be.Derivatives, shell="")
    sigma: Any = option(None, "standard deviations of the responses: weights 1/sigma**2", shell="COLUMN")
    absolute_sigma: bool = option(
        False, "whether sigma are the standard deviations themselves: dispersion 1", check=true_or_false, shell="FLAG"
    )
    penalty: Any = option(None, "ridge penalty", shell="NUMBER")


@dataclass(frozen=True)
class Likelihood(_Rows):
    """What is said of a likelihood that the user writes."""

    start: Any = option(None, "where the iteration begins")
    columns: Any = option(None, "what the density's keywords stand for where they are not columns themselves")
    derivatives: may_be.Derivatives = option("exact", "how derivatives are found", may_be.Derivatives, shell="")
    penalty: Any = option(None, "ridge penalty")
    bias: may_be.Bias | None = option(None, "Jeffreys' penalty", may_be.Bias)


@dataclass(frozen=True)
class Layers(_OfAFamily):
    """What is said of a network."""

    hidden: tuple[int, ...] = option((64, 64), "units of each hidden layer", check=units)
    activation: may_be.Activation = option("relu", "what each hidden unit does to its input", may_be.Activation)
    batch_norm: bool = option(False, "whether each hidden layer normalises its units", check=true_or_false)
    residual: may_be.Shortcut | None = option(None, "what goes around a hidden layer", may_be.Shortcut)
    dropout: float = option(0.0, "share of the hidden units that a training step leaves out", check=share)
    weight_decay: float = option(0.0, "factor of half the squared weights, added to the loss", check=not_negative)
    start: Any = option(None, "initial weights")


@dataclass(frozen=True)
class Training(Record):
    """How a network is trained."""

    title: ClassVar[str] = "the training"
    schedule: Any = option("constant", "what becomes of the learning rate", may_be.Schedule, check=_schedule)
    batch_size: int | None = option(None, "rows of a step", check=at_least_one)
    epochs: int = option(200, "readings of the data", check=count)
    validation: float | None = option(None, "share of the rows held out", check=share)
    patience: int | None = option(20, "epochs without a lower validation loss after which to stop", check=at_least_one)
    update: may_be.Update = option("whole", "what a step updates at once", may_be.Update)
    precision: may_be.Precision | None = option(None, "in which batches are computed", may_be.Precision)
    checkpoint: Any = option(None, "file that saves the training")


# -- the front doors ---------------------------------------------------------------------------------------------------

GLM = (LinearModel(), Inference(information="expected"), Iteration(method="fisher-scoring"))
NLS = (Curve(), Inference(), Iteration(method="levenberg-marquardt"))
MLE = (Likelihood(), Inference(information="observed"), Iteration(method="newton"))
NETWORK = (Layers(), Training(), Iteration(method="adam", seed=0))
