"""A training as a file: arrays and JSON, to go on from after a crash. Nothing in it is executed when it is read."""

from __future__ import annotations

import json
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from raphson.errors import DataError
from raphson.newton.first_order import Epoch, Snapshot
from raphson.report.files import written_whole

FORMAT = "raphson training"
TREES = ("params", "state", "moments", "best_params", "best_state")


def write(snapshot: Snapshot, description: dict[str, Any], path: str | PathLike[str]) -> None:
    """Write a snapshot; the file is there whole or not at all.

    Parameters
    ----------
    snapshot : where the training stands.
    description : of the network, the method and the data; a training described otherwise cannot go on from it.
    """
    import jax

    arrays: dict[str, np.ndarray] = {}
    for name in TREES:
        for i, leaf in enumerate(jax.tree.leaves(getattr(snapshot, name))):
            arrays[f"{name}_{i}"] = np.asarray(leaf)
    about = {
        "format": FORMAT,
        "description": description,
        "best": None if np.isinf(snapshot.best) else snapshot.best,
        "best_epoch": snapshot.best_epoch,
        "history": [asdict(epoch) for epoch in snapshot.history],
        "rng": snapshot.rng,
    }
    text = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
    with written_whole(path) as draft, draft.open("wb") as file:
        np.savez(file, about=text, **arrays)  # type: ignore[arg-type]


def read(path: str | PathLike[str], description: dict[str, Any], like: Snapshot) -> Snapshot | None:
    """Read a snapshot, into trees shaped as those of `like`; None if there is no file.

    Raises
    ------
    DataError
        If the file is not a checkpoint, or that of another network, method or data.
    """
    import jax

    if not Path(path).exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        about = json.loads(arrays.pop("about").tobytes().decode())
        known = about["format"] == FORMAT
    except (OSError, ValueError, KeyError, EOFError, TypeError, AttributeError):
        known = False
    except Exception as error:  # a damaged zip archive raises its own kind
        if type(error).__module__ != "zipfile":
            raise
        known = False
    if not known:
        raise DataError(
            f"checkpoint: expected a file of an earlier training, or none; {path} is another kind of file, or was cut "
            "short. Delete it, or name another"
        )
    other = [name for name, value in description.items() if about["description"].get(name) != value]
    if other:
        raise DataError(
            f"checkpoint: {path} is of another training: "
            f"{_difference(other[0], about['description'].get(other[0]), description[other[0]])}. Delete the file, or "
            "name another"
        )
    trees: dict[str, Any] = {}
    for name in TREES:
        leaves, shape = jax.tree.flatten(getattr(like, name))
        stored = [arrays.get(f"{name}_{i}") for i in range(len(leaves))]
        if any(a is None or a.shape != np.shape(b) for a, b in zip(stored, leaves, strict=True)):
            raise DataError(f"checkpoint: {path} lacks a part of the training. Delete it and train anew")
        trees[name] = jax.tree.unflatten(shape, stored)
    history = [Epoch(**(row | {"norms": tuple(row["norms"])})) for row in about["history"]]
    best = np.inf if about["best"] is None else float(about["best"])
    return Snapshot(**trees, best=best, best_epoch=int(about["best_epoch"]), history=history, rng=about["rng"])


def _difference(what: str, found: Any, now: Any) -> str:
    """Where two descriptions first differ, in words."""
    if what in ("data", "start"):
        return "its data were others" if what == "data" else "it began with other weights"
    if isinstance(found, dict) and isinstance(now, dict):
        key = next(key for key in now if found.get(key) != now[key])
        return _difference(f"{what}'s {key}", found.get(key), now[key])
    if isinstance(found, list) and isinstance(now, list):
        if len(found) != len(now):
            return f"its {what} were {len(found)}, and now they are {len(now)}"
        at = next(i for i, (before, after) in enumerate(zip(found, now, strict=True)) if before != after)
        return _difference(f"{what.removesuffix('s')} {at + 1}", found[at], now[at])
    return f"its {what} was {json.dumps(found)}, and now it is {json.dumps(now)}"
