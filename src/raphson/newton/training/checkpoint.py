"""Checkpoints: files of arrays and JSON from which a training resumes. Reading one executes nothing in it."""

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

from raphson.compat import jax
from raphson.errors import DataError
from raphson.execute.journal import Recorded, difference
from raphson.files import written_whole
from raphson.newton.training.first_order import Answer, Epoch, Snapshot

FORMAT = "raphson training"
MOST_TEXT, HEADER = 2**28, 2**14
"""Largest sizes in bytes: of the description with the history, and of an array's header."""

TREES = ("params", "state", "moments", "best_params", "best_state")


def write(snapshot: Snapshot, description: dict[str, Any], path: str | PathLike[str]) -> None:
    """Write a snapshot, whole or not at all.

    Parameters
    ----------
    snapshot : the state of the training.
    description : of the network, the method and the data; only a training with the same description can resume.
    """
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
    """SHA-256 of the whole content of a checkpoint."""
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()


def read(path: str | PathLike[str], description: dict[str, Any], like: Snapshot) -> Snapshot | None:
    """Read a snapshot, into trees with the shapes of `like`; None if there is no file.

    Raises
    ------
    DataError
        If the file is not a checkpoint, was edited, or belongs to another network, method or data.
    """
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
            # Only arrays of this training's names and sizes are read, whatever else the file declares.
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
            f"checkpoint: expected a file of an earlier training, or a new name; {path} is another kind of file, or "
            "was cut short. Delete it, or pass another name"
        ) from error
    fits = found == set(wanted) and all(arrays[name].shape == like.shape for name, like in wanted.items())
    if not fits or about.pop("sha256", None) != _digest(about, arrays):
        raise DataError(
            f"checkpoint: expected a file as the training wrote it; the content of {path} was changed. Delete it and "
            "train again"
        )
    whole = {
        name: jax.tree.unflatten(shape, [arrays[f"{name}_{i}"] for i in range(len(leaves))])
        for name, (leaves, shape) in trees.items()
    }
    history = [Epoch(**(row | {"norms": tuple(row["norms"])})) for row in about["history"]]
    best = np.inf if about["best"] is None else float(about["best"])
    return Snapshot(**whole, best=best, best_epoch=int(about["best_epoch"]), history=history, rng=about["rng"])


def _array(file: Any, name: str, most: int) -> np.ndarray:
    """An array of an archive, of at most `most` bytes."""
    if file.zip.getinfo(f"{name}.npy").file_size > most + HEADER:
        raise ValueError
    return file[name]


def _check_description(found: dict[str, Any], now: dict[str, Any], path: str | PathLike[str]) -> None:
    """Refuse a checkpoint with another description."""
    for name, value in now.items():
        if found.get(name) != value:
            raise DataError(
                f"checkpoint: expected a file of the same training; {path} is of another: "
                f"{_difference(name, found.get(name), value)}. Delete the file, or pass another name"
            )


def _difference(what: str, found: Any, now: Any) -> str:
    """The first difference between two descriptions, in words."""
    if what in ("data", "start"):  # digests
        return "its data were different" if what == "data" else "it started from other weights"
    return difference(what, found, now)


def kept_epochs(executor: Any, start: np.ndarray) -> Answer | None:
    """What keeps the epochs of a training in the executor's journal, as it keeps sums; None if it has none.

    Parameters
    ----------
    start : (p,) where the training begins.
    """
    if not isinstance(executor, Recorded):
        return None
    return lambda question, compute: executor.journal.answer((*question, start), compute)
