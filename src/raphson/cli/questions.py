"""Questions that a command asks of a fit after its summary: tests, intervals, resampling, checks, a plot."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from raphson.errors import ModelError, RaphsonError

if TYPE_CHECKING:
    import pandas as pd

PLOTS = (".png", ".svg", ".pdf")
"""Endings of the files that a plot can be written to."""


@dataclass(frozen=True)
class Answer:
    """What a question found.

    Attributes
    ----------
    text : as it is printed.
    value : as JSON shows it.
    """

    text: str
    value: Any


@dataclass(frozen=True)
class Question:
    """An option that asks something of a fit.

    Attributes
    ----------
    name : of the option.
    form : the other arguments of ``add_argument``.
    answer : of a fit, the option's value and all options.
    """

    name: str
    form: dict[str, Any]
    answer: Callable[[Any, Any, argparse.Namespace], Answer]

    @property
    def key(self) -> str:
        """The name of the answer in JSON, and of the option's value."""
        return self.name.replace("-", "_")


def add_questions(command: Any) -> None:
    """Add the options that ask something of the fit."""
    group = command.add_argument_group("questions to the fit")
    for one in QUESTIONS:
        group.add_argument(f"--{one.name}", **one.form)
    group.add_argument("--plot", metavar="FILE", help="draw what the fit found: PNG, SVG or PDF by the ending")


def asked(options: argparse.Namespace) -> list[Question]:
    """The questions that the command line asks."""
    return [one for one in QUESTIONS if getattr(options, one.key) is not one.form["default"]]


def answers(fit: Any, options: argparse.Namespace) -> Iterator[tuple[str, Answer | RaphsonError]]:
    """The answers to the questions asked, by their keys; an error where this fit has none."""
    for one in asked(options):
        try:
            yield one.key, one.answer(fit, getattr(options, one.key), options)
        except RaphsonError as error:
            yield one.key, error


def refuse_of_groups(options: argparse.Namespace) -> None:
    """Refuse what is asked of one fit where there are many."""
    names = [one.name for one in asked(options)] + (["plot"] if options.plot else [])
    if names:
        raise ModelError(f"--by: --{names[0]} is about one fit; leave out --{names[0]}, or --by")


def table_text(title: str, table: pd.DataFrame) -> str:
    """A table under its title. A cell without a number is empty."""
    return f"{title}\n{table.to_string(float_format=lambda value: f'{value:.6g}', na_rep='')}"


def records(table: pd.DataFrame, index: str) -> list[dict[str, Any]]:
    """The rows of a table, its index under a name."""
    return table.rename_axis(index).reset_index().to_dict(orient="records")


def _tests(fit: Any, hypotheses: list[str], options: argparse.Namespace) -> Answer:
    found = [fit.wald_test(one) for one in hypotheses]
    names = ("hypothesis", "statistic", "df", "df_resid", "p_value")
    return Answer("\n".join(map(str, found)), [{name: getattr(one, name) for name in names} for one in found])


def _dropped(fit: Any, _: bool, options: argparse.Namespace) -> Answer:
    table = fit.drop1()
    return Answer(table_text("Each term left out, by likelihood-ratio tests", table), records(table, "term"))


def _profiles(fit: Any, functions: list[str], options: argparse.Namespace) -> Answer:
    import pandas as pd

    names = [name for one in functions for name in (fit.names if one == "all" else [one])]
    rows = {}
    for name in names:
        profile = fit.profile(name)
        low, high = profile.interval(options.level)
        rows[name] = {"estimate": profile.estimate, "conf_low": low, "conf_high": high}
    table = pd.DataFrame.from_dict(rows, orient="index")
    return Answer(table_text(f"Profile likelihood intervals, {100 * options.level:g}%", table), records(table, "term"))


def _derived(fit: Any, expressions: list[str], options: argparse.Namespace) -> Answer:
    import pandas as pd

    rows = {}
    for one in expressions:
        found = fit.delta(one, level=options.level)
        low, high = found.interval
        rows[one] = {"estimate": found.estimate, "std_error": found.se, "conf_low": low, "conf_high": high}
    table = pd.DataFrame.from_dict(rows, orient="index")
    return Answer(table_text("Functions of the parameters, by the delta method", table), records(table, "term"))


def _resampled(fit: Any, replicates: int, options: argparse.Namespace) -> Answer:
    found = fit.bootstrap(replicates, seed=getattr(options, "seed", 0))
    return Answer(str(found), records(found.summary(options.level), "term"))


def _checked(fit: Any, _: bool, options: argparse.Namespace) -> Answer:
    found = fit.check()
    return Answer(str(found), records(found.table, "check"))


def _variances(fit: Any, _: bool, options: argparse.Namespace) -> Answer:
    table = fit.variances.rename(columns={"lower": "conf_low", "upper": "conf_high"})
    return Answer(_rows_text("What varies, with 95% profile intervals", table), table.to_dict(orient="records"))


def _random_effects(fit: Any, _: bool, options: argparse.Namespace) -> Answer:
    table = fit.random_effects()
    return Answer(_rows_text("The effects of each level", table), table.to_dict(orient="records"))


def _rows_text(title: str, table: pd.DataFrame) -> str:
    """A table whose rows have names in columns of their own."""
    text = table.to_string(index=False, float_format=lambda value: f"{value:.6g}", na_rep="")
    return f"{title}\n{text}"


QUESTIONS = (
    Question(
        "test",
        {
            "default": None,
            "action": "append",
            "metavar": "HYPOTHESIS",
            "help": 'Wald test, such as "age = 0"; may be given again',
        },
        _tests,
    ),
    Question(
        "drop1",
        {
            "default": False,
            "action": "store_true",
            "help": "what leaving out each term costs, by likelihood-ratio tests",
        },
        _dropped,
    ),
    Question(
        "profile",
        {
            "default": None,
            "action": "append",
            "metavar": "NAME",
            "help": "profile likelihood interval of a coefficient or an expression, or of all; may be given again",
        },
        _profiles,
    ),
    Question(
        "delta",
        {
            "default": None,
            "action": "append",
            "metavar": "EXPRESSION",
            "help": 'a function of the coefficients with its standard error, such as "exp(age)"; may be given again',
        },
        _derived,
    ),
    Question(
        "bootstrap",
        {
            "default": None,
            "type": int,
            "metavar": "REPLICATES",
            "help": "bootstrap the fit; --seed says with which random numbers",
        },
        _resampled,
    ),
    Question(
        "check",
        {
            "default": False,
            "action": "store_true",
            "help": "rank the data among data sets that are simulated from the fit",
        },
        _checked,
    ),
    Question(
        "variances",
        {
            "default": False,
            "action": "store_true",
            "help": "standard deviations and correlations of what varies, with profile intervals",
        },
        _variances,
    ),
    Question(
        "random-effects",
        {"default": False, "action": "store_true", "help": "the effects of each level of what varies by groups"},
        _random_effects,
    ),
)
"""In the order in which the answers are printed."""
