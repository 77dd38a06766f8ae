"""A folder of what was compiled, kept from one process to the next.

An entry is a file of bytes under a key, which is a digest of everything that the bytes depend on. The folder is one of
the user's cache, or the one that the environment variable ``RAPHSON_CACHE`` names; ``RAPHSON_CACHE=off`` keeps nothing.
What is kept is machine code, so the folder has to be the user's own and closed to others: another one is left alone.
Whatever goes wrong with a file, the code is compiled as if there were none. Files are written under another name and
renamed when complete, so that any number of processes may read and write at once.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

from raphson.errors import DataError
from raphson.files import written_whole

VARIABLE = "RAPHSON_CACHE"
"""The environment variable that names the folder, or says "off"."""

OFF = frozenset(["off", "0", "no", "false", "none"])

MOST_BYTES = 2**28
"""Size of all files together beyond which those that were not used for longest are deleted. The derivatives of a curve
or a likelihood take 20 to 60 KB, so that this is some thousands of models."""

LEFT = 0.75
"""The share of it that is left then."""

_DIGEST = hashlib.sha256().digest_size
_ENDING = ".code"


class _Choice:
    """Where the folder is to be; None until somebody says, then a path or False."""

    where: Path | bool | None = None
    written = -1
    """Bytes written since the folder's size was last looked at; −1 if it never was."""


_choice = _Choice()


def keep(where: str | os.PathLike[str] | bool) -> None:
    """Keep compiled code in this folder; in that of the user's cache if True, nowhere if False."""
    _choice.where, _choice.written = where if isinstance(where, bool) else Path(where), -1


def folder() -> Path | None:
    """The folder as it is chosen, whether or not it exists; None if nothing is to be kept."""
    where = _choice.where
    if where is None:
        named = os.environ.get(VARIABLE, "").strip()
        where = False if named.lower() in OFF else Path(named) if named else True
    if isinstance(where, Path):
        return where.expanduser().absolute()
    return _usual() if where else None


def _usual() -> Path | None:
    """The folder in the user's cache, by the platform's convention; None where the user has no home."""
    try:
        if sys.platform == "win32":
            local = os.environ.get("LOCALAPPDATA")
            base = Path(local) if local else Path.home() / "AppData" / "Local"
            return base / "raphson" / "Cache" / "compiled"
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches" / "raphson" / "compiled"
        named = Path(os.environ.get("XDG_CACHE_HOME", ""))
        # The specification of these folders says that a relative path is to be ignored.
        base = named if named.is_absolute() else Path.home() / ".cache"
        return base / "raphson" / "compiled"
    except RuntimeError:
        return None


def _is_own(place: Path) -> bool:
    """Whether a folder is the user's own, and no one else can write into it."""
    there = os.lstat(place)
    if not stat.S_ISDIR(there.st_mode):
        return False
    return not hasattr(os, "getuid") or (there.st_uid == os.getuid() and not there.st_mode & 0o022)


def read(key: str) -> bytes | None:
    """The bytes of an entry; None if there are none, or they are not as they were written."""
    place = folder()
    if place is None:
        return None
    try:
        if not _is_own(place):
            return None
        file = place / (key + _ENDING)
        content = file.read_bytes()
        with suppress(OSError):
            os.utime(file)
    except OSError:
        return None
    digest, payload = content[:_DIGEST], content[_DIGEST:]
    return payload if digest == _digest(key, payload) else None


def write(key: str, payload: bytes) -> None:
    """Keep an entry, if the folder can be written."""
    place = folder()
    if place is None:
        return
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_own(place):
            return
        with written_whole(place / (key + _ENDING)) as draft:
            draft.write_bytes(_digest(key, payload) + payload)
        if _choice.written < 0 or _choice.written + len(payload) > MOST_BYTES // 16:
            _drop_oldest(place)
            _choice.written = 0
        _choice.written += len(payload)
    except (OSError, DataError):
        return


def _digest(key: str, payload: bytes) -> bytes:
    """The digest that an entry begins with: bytes under another key, torn or altered ones do not fit it."""
    return hashlib.sha256(key.encode() + payload).digest()


def _drop_oldest(place: Path) -> None:
    """Delete the files that were not used for longest, if all together are too large."""
    files: list[tuple[float, int, Path]] = []
    for file in place.glob(f"*{_ENDING}"):  # with the drafts of processes that were killed
        with suppress(OSError):
            there = file.lstat()
            files.append((there.st_mtime, there.st_size, file))
    total = sum(size for _, size, _ in files)
    if total <= MOST_BYTES:
        return
    for _, size, file in sorted(files):
        with suppress(OSError):
            file.unlink()
        total -= size
        if total <= LEFT * MOST_BYTES:
            break
