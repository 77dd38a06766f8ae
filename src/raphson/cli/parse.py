"""Parsing of the command line. The options of a fit are generated from the function's records of keywords."""

from __future__ import annotations

import argparse
import sys
from difflib import get_close_matches
from typing import Any, NoReturn, get_args

from raphson.choices import DensityName, Effects, Interval, LinkName, NewLevels, Scale
from raphson.cli import commands
from raphson.cli.completion import SHELLS
from raphson.cli.output import BAD_INPUT, one_line
from raphson.cli.questions import add_questions
from raphson.cli.spelling import as_options
from raphson.cli.values import READERS, level, marks, numbers, separator
from raphson.options import GLM, MLE, NETWORK, NLS, Keyword, Record, keywords

_DATA_HELP = "CSV, TSV (also as .csv.gz), Parquet or Arrow file; - reads CSV from standard input"


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    line = _Parser(
        prog="raphson",
        description="Fit statistical models by maximum likelihood and nonlinear least squares.",
        epilog="Exit codes: 0 converged, 1 not converged (the result is still printed), 2 bad input.",
    )
    line.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    subparsers = line.add_subparsers(title="commands", metavar="COMMAND", parser_class=_Parser)
    line.set_defaults(run=lambda _: _no_command(line))
    _add_fit(subparsers)
    _add_nls(subparsers)
    _add_mle(subparsers)
    _add_network(subparsers)
    _add_predict(subparsers)
    _add_anova(subparsers)
    _add_compare(subparsers)
    _add_explain(subparsers)
    _add_demo(subparsers)
    _add_completion(subparsers)
    return line


def _no_command(line: argparse.ArgumentParser) -> int:
    """Who types nothing but the name asks what there is; a script that does so has lost its command."""
    line.print_help(sys.stderr)
    return BAD_INPUT


def _add_fit(subparsers: Any) -> None:
    fit = subparsers.add_parser(
        "fit",
        help="fit a model to a data file",
        description="Fit a generalised linear model, also with effects that vary by groups and smooth functions.",
        epilog='Example: raphson fit "low ~ age + (1 | ward)" births.csv --family binomial --report births.html',
    )
    fit.set_defaults(run=commands.fit)
    fit.add_argument(
        "formula", metavar="FORMULA", help='such as "low ~ age + lwt + race"; "y ~ x + (1 | group)", "y ~ s(x)"'
    )
    _add_linear_model(fit)
    _add_result(fit)


def _add_linear_model(command: Any) -> None:
    """Add the data and the options of a generalised linear model."""
    command.add_argument("data", metavar="DATA", help=_DATA_HELP)
    model = _add_keywords(command, GLM)
    model.add_argument(
        "--link", metavar="NAME", help=f"in place of the family's usual link: {', '.join(get_args(LinkName))}"
    )
    _add_text(command)


def _add_model(command: Any, door: tuple[Record, ...]) -> None:
    """Add the data, an option for every keyword, and what is said of text files and of the result."""
    command.add_argument("data", metavar="DATA", help=_DATA_HELP)
    _add_keywords(command, door)
    _add_text(command)
    _add_result(command)


def _add_nls(subparsers: Any) -> None:
    nls = subparsers.add_parser(
        "nls",
        help="fit a curve to a data file",
        description="Fit a curve by nonlinear least squares. Its names that are not columns are parameters.",
        epilog='Example: raphson nls "y ~ top*(1-exp(-rate*x))" data.csv --profile all --plot curve.png',
    )
    nls.set_defaults(run=commands.nls)
    nls.add_argument("formula", metavar="CURVE", help='such as "y ~ b1*(1-exp(-b2*x))"')
    _add_model(nls, NLS)


def _add_mle(subparsers: Any) -> None:
    mle = subparsers.add_parser(
        "mle",
        help="fit a ready likelihood to a data file",
        description="Fit a ready density, with a formula for each of its parameters.",
        epilog='Example: raphson mle weibull "weeks ~ drug" patients.csv --columns event=relapsed',
    )
    mle.set_defaults(run=commands.mle)
    mle.add_argument("density", metavar="DENSITY", help=f"one of {', '.join(get_args(DensityName))}")
    mle.add_argument(
        "formulas",
        metavar="FORMULA",
        nargs="+",
        help='"y ~ x" for the first parameter; "log_sigma = ~ x" for one by its name; the others are constants',
    )
    _add_model(mle, MLE)


def _add_network(subparsers: Any) -> None:
    network = subparsers.add_parser(
        "network", help="train a network on a data file", description="Train a layered network for any of the families."
    )
    network.set_defaults(run=commands.network)
    network.add_argument("formula", metavar="FORMULA", help='such as "y ~ ."')
    _add_model(network, NETWORK)


def _add_anova(subparsers: Any) -> None:
    anova = subparsers.add_parser(
        "anova",
        help="compare nested models",
        description="Fit nested generalised linear models, and test each against the next smaller one.",
    )
    anova.set_defaults(run=commands.anova)
    anova.add_argument("formulas", metavar="FORMULA", nargs="+", help="of each model, in any order")
    _add_linear_model(anova)
    anova.add_argument("--json", action="store_true", help="print JSON instead of the table")


def _add_compare(subparsers: Any) -> None:
    compare = subparsers.add_parser(
        "compare",
        help="run one model by several methods",
        description="Run one generalised linear model by several methods from the same start.",
    )
    compare.set_defaults(run=commands.compare)
    compare.add_argument("formula", metavar="FORMULA", help='such as "low ~ age + lwt + race"')
    _add_linear_model(compare)
    compare.add_argument("--methods", type=marks, metavar="NAME,...", help="such as newton,bhhh,gradient-descent")
    compare.add_argument("--plot", metavar="FILE", help="draw the distances: PNG, SVG or PDF by the ending")
    compare.add_argument("--json", action="store_true", help="print JSON instead of the table")


def _add_keywords(command: Any, door: tuple[Record, ...]) -> Any:
    """Add an option for every keyword that a shell can express; return the first group of them."""
    groups: dict[str, Any] = {}
    for keyword in keywords(door):
        if keyword.option.shell:
            if keyword.group not in groups:
                groups[keyword.group] = command.add_argument_group(keyword.group)
            added = groups[keyword.group].add_argument(f"--{keyword.name.replace('_', '-')}", **_form(keyword))
            added.suggested = keyword.option.choices or None
    return next(iter(groups.values()))


def _form(keyword: Keyword) -> dict[str, Any]:
    """Arguments of ``add_argument`` for a keyword. It is absent if not given: the function has the default."""
    option = keyword.option
    form: dict[str, Any] = {"default": argparse.SUPPRESS, "help": as_options(_help(keyword)).replace("%", "%%")}
    if option.shell == "FLAG":
        return form | {"action": "store_true"}
    if option.closed:
        return form | {"choices": option.choices}
    return form | {"type": READERS[option.shell], "metavar": option.shell}


def _help(keyword: Keyword) -> str:
    """Help of a keyword, with its choices if it accepts others too, and its default.

    Examples
    --------
    >>> [_help(one) for one in keywords(GLM) if one.name in ("information", "max_iter", "dispersion")]
    ['how the dispersion is estimated: pearson, deviance, ml or a number',
     'Fisher information that the covariance uses (default expected)',
     'largest number of steps']
    """
    option, default = keyword.option, keyword.default
    text = option.help
    if option.choices and not option.closed:
        text += f": {', '.join(option.choices)}{' or a number' * (option.shell == 'RULE')}"
    return text if default is None or isinstance(default, bool) else f"{text} (default {default})"


def _add_text(command: Any) -> None:
    text = command.add_argument_group("text files")
    text.add_argument("--sep", type=separator, metavar="CHARACTER", help="separator of the columns: ';', tab, ...")
    text.add_argument("--decimal", metavar="CHARACTER", help="decimal point: . (default) or ,")
    text.add_argument(
        "--na",
        type=marks,
        metavar="TEXT,...",
        help="texts that stand for missing values, besides an empty field, NA, NaN and null",
    )
    text.add_argument("--encoding", metavar="NAME", help="encoding of the file, such as latin-1 (default utf-8)")


def _add_result(command: Any) -> None:
    output = command.add_argument_group("the result")
    output.add_argument("--save", metavar="FILE", help="save the fit, for `raphson predict`")
    output.add_argument("--report", metavar="FILE", help="write a report as one HTML page")
    output.add_argument("--level", type=level, default=0.95, help="coverage of the intervals (default 0.95)")
    output.add_argument(
        "--exponentiate",
        action="store_true",
        help="show ratios (of odds, of rates, ...) for coefficients",
    )
    output.add_argument("--json", action="store_true", help="print JSON instead of the summary")
    add_questions(command)


def _add_predict(subparsers: Any) -> None:
    predict = subparsers.add_parser(
        "predict",
        help="predict from a saved fit",
        description="Predict the mean response for new data.",
        epilog="Example: raphson predict fit.json new.csv --interval confidence --keep --out predictions.csv",
    )
    predict.set_defaults(run=commands.predict)
    predict.add_argument("model", metavar="MODEL", help="file written by --save")
    predict.add_argument("data", metavar="DATA", help=_DATA_HELP)
    _add_text(predict)
    predict.add_argument("--out", metavar="FILE", help="CSV, TSV, Parquet or Arrow by its ending (default: print CSV)")
    predict.add_argument("--keep", action="store_true", help="write the columns of the data before the predictions")
    predict.add_argument("--interval", choices=get_args(Interval), help="of the mean, or of a new response")
    predict.add_argument("--se", action="store_true", help="add standard errors")
    predict.add_argument(
        "--kind", choices=get_args(Scale), default="response", help="the mean (default), or the linear predictor"
    )
    predict.add_argument("--level", type=level, default=0.95, help="coverage of the interval (default 0.95)")
    predict.add_argument(
        "--effects",
        choices=get_args(Effects),
        default=argparse.SUPPRESS,
        help="of a fit whose coefficients vary: all effects, those of the population, without the groups' own, or the "
        "mean averaged over those of groups",
    )
    predict.add_argument(
        "--new-levels",
        choices=get_args(NewLevels),
        default=argparse.SUPPRESS,
        help="what is done with a group that the fit did not have (default raise)",
    )
    predict.add_argument("--json", action="store_true", help="print JSON instead of CSV")


def _add_explain(subparsers: Any) -> None:
    explain = subparsers.add_parser(
        "explain",
        help="show the elementary steps of an expression",
        description="Show the elementary steps of an expression: values, local partial derivatives and adjoints.",
    )
    explain.set_defaults(run=commands.explain)
    explain.add_argument("expression", metavar="EXPRESSION", help='such as "log(1 + exp(-y*x))"')
    explain.add_argument("--at", type=numbers, required=True, metavar="NAME=NUMBER,...", help="such as y=1,x=0.3")
    explain.add_argument("--html", metavar="FILE", help="write one HTML page with the table and the graph")
    explain.add_argument("--json", action="store_true", help="print JSON instead of the table")


def _add_demo(subparsers: Any) -> None:
    demo = subparsers.add_parser(
        "demo",
        help="fit a model to data that come with Raphson",
        description="Fit a logistic regression by IRLS, step by step.",
    )
    demo.set_defaults(run=commands.demo)
    demo.add_argument("--out", metavar="DIR", default="raphson-demo", help="folder to write to (default raphson-demo)")


def _add_completion(subparsers: Any) -> None:
    completion = subparsers.add_parser(
        "completion",
        help="print what completes commands in a shell",
        description="Print a script with which a shell completes commands, options and their choices.",
    )
    completion.set_defaults(run=commands.completion, parser=parser)
    completion.add_argument("shell", choices=SHELLS)


class _Parser(argparse.ArgumentParser):
    """Prints one line for a usage error, without the usage that argparse prints before it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """Those of a subcommand are told of by the subcommand, whose help lists what there is."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            near = get_close_matches(unknown[0].partition("=")[0], self._option_string_actions, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            if not unknown[0].startswith("-") and "~" not in str(getattr(found, "formula", "~")):
                hint = f'; write the formula in quotes, as in {self.prog} "y ~ x" data.csv'  # the shell takes it apart
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return found, unknown

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            near = get_close_matches(str(value), [str(choice) for choice in action.choices or ()], n=1)
            if near:
                error.message = f"{error.message.removesuffix('.')}; did you mean {near[0]}?"
            raise

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"raphson: error: {one_line(message)} (see `{self.prog} --help`)\n")


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        from importlib.metadata import version

        print(f"raphson {version('raphson')}")
        parser.exit(0)
