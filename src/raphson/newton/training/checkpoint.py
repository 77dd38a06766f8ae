"""A training as a file: arrays and JSON, to go on from after a crash. Nothing in it is executed when it is read."""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from raphson.errors import DataError
from raphson.files import written_whole
from raphson.newton.training.first_order import Epoch, Snapshot

FORMAT = "raphson training"
MOST_TEXT, HEADER = 2**28, 2**14
"""Bytes that the description and the history take at most, and what stands before an array's numbers."""

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
    about["sha256"] = _digest(about, arrays)
    text = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
    with written_whole(path) as draft, draft.open("wb") as file:
        np.savez(file, about=text, **arrays)  # type: ignore[arg-type]


def _digest(about: dict[str, Any], arrays: dict[str, np.ndarray]) -> str:
    """SHA-256 of all that a checkpoint holds."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()


def read(path: str | PathLike[str], description: dict[str, Any], like: Snapshot) -> Snapshot | None:
    """Read a snapshot, into trees shaped as those of `like`; None if there is no file.

    Raises
    ------
    DataError
        If the file is not a checkpoint, was changed, or is that of another network, method or data.
    """
    import jax

    if not Path(path).exists():
        return None
    trees = {name: jax.tree.flatten(getattr(like, name)) for name in TREES}
    wanted = {f"{name}_{i}": np.asarray(leaf) for name, (leaves, _) in trees.items() for i, leaf in enumerate(leaves)}
    try:
        with np.load(path, allow_pickle=False) as file:
            about = json.loads(_array(file, "about", MOST_TEXT).tobytes().decode())
            if about["format"] != FORMAT:
                raise ValueError
            _check_description(about["description"], description, path)
            found = set(file.files) - {"about"}
            # No more is read than what a training of this kind has, whatever a file may say that it holds.
            arrays = {name: _array(file, name, like.nbytes) for name, like in wanted.items() if name in found}
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        TypeError,
        AttributeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"checkpoint: expected a file of an earlier training, or none; {path} is another kind of file, or was cut "
            "short. Delete it, or name another"
        ) from error
    fits = found == set(wanted) and all(arrays[name].shape == like.shape for name, like in wanted.items())
    if not fits or about.pop("sha256", None) != _digest(about, arrays):
        raise DataError(f"checkpoint: {path} was changed since it was written. Delete it and train anew")
    whole = {
        name: jax.tree.unflatten(shape, [arrays[f"{name}_{i}"] for i in range(len(leaves))])
        for name, (leaves, shape) in trees.items()
    }
    history = [Epoch(**(row | {"norms": tuple(row["norms"])})) for row in about["history"]]
    best = np.inf if about["best"] is None else float(about["best"])
    return Snapshot(**whole, best=best, best_epoch=int(about["best_epoch"]), history=history, rng=about["rng"])


def _array(file: Any, name: str, most: int) -> np.ndarray:
    """One array of an archive, of at most so many bytes."""
    if file.zip.getinfo(f"{name}.npy").file_size > most + HEADER:
        raise ValueError
    return file[name]


def _check_description(found: dict[str, Any], now: dict[str, Any], path: str | PathLike[str]) -> None:
    """Refuse a training that was described otherwise."""
    for name, value in now.items():
        if found.get(name) != value:
            raise DataError(
                f"checkpoint: {path} belongs to another training: {_difference(name, found.get(name), value)}. Delete "
                "the file, or name another"
            )


def _difference(what: str, found: Any, now: Any) -> str:
    """Where two descriptions first differ, in words."""
    if what in ("data", "start"):
        return "its data were different" if what == "data" else "it began with other weights"
    if isinstance(found, dict) and isinstance(now, dict):
        key = next(key for key in now if found.get(key) != now[key])
        return _difference(f"{what}'s {key}", found.get(key), now[key])
    if isinstance(found, list) and isinstance(now, list):
        if len(found) != len(now):
            return f"its {what} were {len(found)}, and now they are {len(now)}"
        at = next(i for i, (before, after) in enumerate(zip(found, now, strict=True)) if before != after)
        return _difference(f"{what.removesuffix('s')} {at + 1}", found[at], now[at])
    return f"its {what} was {json.dumps(found)}, and now it is {json.dumps(now)}"
