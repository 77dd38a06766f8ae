"""Contestants' programs that differ in the model alone: how a fit is asked for, of data that a source has made.

Each takes `data`, a source that defines X, y and ``prepare()``, and gives the whole source.
"""

from __future__ import annotations


def with_errors(data: str, imports: str, fit: str, answer: str = "fit.params") -> str:
    """A fit whose standard errors are asked for too: as a statistician has it."""
    return f"""{data}
{imports}
def work(_):
    fit = {fit}
    fit.bse
    return fit
def answer(fit): return {answer}
"""


def estimator(data: str, module: str, model: str, answer: str = "coef.ravel()") -> str:
    """An estimator of scikit-learn's kind, `model` of a `module`: coefficients alone."""
    return f"""{data}
from {module} import {model.partition("(")[0]}
def work(_): return {model}.fit(X, y).coef_
def answer(coef): return {answer}
"""
