"""A likelihood as saved in a file: its names and how designs are made, without the function."""

from __future__ import annotations

from typing import Any

from raphson.data.columns import RowSchema
from raphson.data.several import PartsSchema
from raphson.errors import ModelError
from raphson.model.likelihood.build import density_parts
from raphson.model.likelihood.densities.ready import DENSITIES
from raphson.model.likelihood.family import LikelihoodFamily


def is_likelihood(family: Any) -> bool:
    """Whether the saved description of a family is that of a likelihood."""
    return isinstance(family, dict) and family.get("name") == "likelihood"


def family_from_dict(saved: dict[str, Any], schema: PartsSchema | RowSchema) -> LikelihoodFamily:
    """The family that :meth:`LikelihoodFamily.to_dict` described, without a user's function."""
    ready, labels, levels = saved["density"], saved["labels"], saved.get("levels")
    if ready is not None:
        DENSITIES.saved(ready)
    if not isinstance(labels, list) or not all(isinstance(one, str) for one in labels):
        raise ModelError("family: expected a list of texts as the labels of the saved likelihood; the file is damaged")
    title, levels = str(saved.get("title", "likelihood")), None if levels is None else tuple(levels)
    if ready is None:
        return LikelihoodFamily(title, _absent, tuple(labels), None, False, None, levels)
    n_parameters = len(DENSITIES[ready].parameters)
    if not isinstance(schema, PartsSchema) or len(labels) < n_parameters:
        raise ModelError(f"family: the saved fit lacks parameters of the density {ready!r}")
    recipe = (ready, tuple(schema.columns), n_parameters, len(labels) - n_parameters, levels is not None, ())
    parts = density_parts(*recipe)
    return LikelihoodFamily(
        title, labels=tuple(labels), ready=ready, levels=levels, recipe=(density_parts, recipe), **parts
    )


def _absent(eta: Any, row: Any) -> Any:
    raise ModelError("a saved fit does not hold the user's function, so the likelihood cannot be evaluated; fit again")


def schema_from_dict(saved: Any) -> PartsSchema | RowSchema:
    """How the designs of new data are made."""
    return PartsSchema.from_dict(saved) if saved["kind"] == "parts" else RowSchema.from_dict(saved)
