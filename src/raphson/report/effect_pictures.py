"""Pictures of effects on the response's scale: mean responses over a covariate."""

from __future__ import annotations

from typing import Any

from raphson.checks.pictures import Mark, Picture


def percent_or_one(scale: Any) -> float:
    return 100.0 if scale.name == "odds ratio" else 1.0


def average_picture(one: Any, scale: Any) -> Picture:
    """The mean response over a covariate, probabilities in percent."""
    factor = percent_or_one(scale)
    label = scale.quantity if factor == 1.0 else f"probability of {scale.quantity.removeprefix('odds of ')} (%)"
    lower, mean, upper = factor * one.lower, factor * one.mean, factor * one.upper
    if one.labels is None:
        marks = (Mark("band", "shade", one.x, lower, upper), Mark("line", "data", one.x, mean))
        return Picture(one.name, label, marks)
    marks = (Mark("whiskers", "data", one.x, lower, upper), Mark("dots", "data", one.x, mean))
    return Picture(one.name, label, marks, tuple((float(k), label) for k, label in enumerate(one.labels)))
