"""Messages name options, not keywords, where they are read in a shell."""

from __future__ import annotations

import pytest

from raphson import datasets
from raphson.cli.spelling import as_options


@pytest.mark.parametrize(
    ("python", "shell"),
    [
        ("raise max_iter=200, or start=[-1, 0.5]", "raise --max-iter 200, or --start=-1,0.5"),
        ("bounds={'a': (None, 1), 'b': (0, None)}", "--bounds a=:1,b=0:"),
        ("raise max_iter, or 'max_iter' and fit.max_iter", "raise --max-iter, or 'max_iter' and fit.max_iter"),
        ("cov='cluster' needs groups=", "--cov cluster needs --groups"),
        ("columns={'event': 'status == 2'}", "--columns 'event=status == 2'"),
        ("criterion='reml' and absolute_sigma=True", "--criterion reml and --absolute-sigma"),
        # Arguments of calls, of functions in formulas and of formulas themselves are no options.
        ("s(x, by=f), or fit.conf_int(level=0.9)", "s(x, by=f), or fit.conf_int(level=0.9)"),
        ("a method=identifier, y=1", "a method=identifier, y=1"),
        ("--columns event=dead", "--columns event=dead"),
    ],
)
def test_a_keyword_with_a_value_is_an_option_with_it(python: str, shell: str) -> None:
    assert as_options(python) == shell


def test_a_message_about_a_density_names_its_option(run, capsys) -> None:
    patients = str(datasets.path("remissions"))
    assert run("mle", "weibull", "weeks ~ treatment", patients) == 2
    assert "as in --columns event=...," in capsys.readouterr().err
    assert run("mle", "weibull", "weeks ~ treatment", patients, "--columns", "evnt=relapsed") == 2
    assert "Did you mean event?" in capsys.readouterr().err
    assert run("mle", "exponential", "weeks ~ treatment", patients) == 2
    assert "Did you mean 'weibull', which is the exponential density where log_sigma = 0?" in capsys.readouterr().err
    assert run("nls", "weeks ~ SSlogis(weeks, a, b, c)", patients) == 2
    assert "Did you mean Asym/(1 + exp((xmid - x)/scal))?" in capsys.readouterr().err
