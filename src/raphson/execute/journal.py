"""The journal of a fit: every sum over the rows in a file, from which the same fit goes on after an interruption.

What a fit does is determined by the sums over all rows that it asks for. So if these are kept in their order, the same
call begins again as it began before, but takes the sums that are in the file from there, and reads rows only for those
that are not. The result has the same bits as that of an unbroken fit, and at most one pass is read twice, whatever the
method and the model.

What is asked of the fit after its end is kept too, behind that: tests, covariances and the like are sums over rows as
well. The file is open for as long as each of these takes only, so that the same call may be made again meanwhile.

A file is a sequence of entries. Each is written behind the last one and forced to the disk before the fit goes on, so
that an interruption can only leave an incomplete entry at the end, which is dropped. An entry ends with a digest of
itself and of the digest before, so that a file that was altered is recognised.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from raphson.errors import DataError
from raphson.execute import Threads, threads
from raphson.execute.encoding import LENGTH, UnencodableError, decode, encode
from raphson.execute.watched import Keeping, Watched, itself, unseen
from raphson.files import check_writable

B = TypeVar("B")
T = TypeVar("T")

MAGIC = b"raphson journal 1\n"
DIGEST = 32
"""Bytes of a SHA-256."""
CHECK = 8
"""Bytes of the check of an entry's length. An altered length would otherwise look like an incomplete entry."""
HEAD = LENGTH.size + CHECK


class Journal:
    """A file with the sums of a fit; a context manager around the fit. The file is open and locked while it runs.

    Parameters
    ----------
    path : of the file; it is made if there is none.
    description : of the model and the data, as JSON would give it back; another one is refused.

    Raises
    ------
    DataError
        If the file is no journal, was altered, is of another fit, or is being written by another process.
    """

    def __init__(self, path: str | os.PathLike[str], description: dict[str, Any]) -> None:
        self.path = check_writable(path)
        self.read = self.written = 0
        """Numbers of entries that were taken from the file, and added to it."""
        self._entries: list[tuple[int, bytes]] = []
        """Where each entry begins, and the digest that it ends with."""
        self._end = 0
        """Where the last of them ends."""
        self._over = self._lost = False
        """Whether the fit has ended, and whether the file has become another one since."""
        self._file: BinaryIO | None = self._opened()
        try:
            self._begin(json.loads(json.dumps(description)))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. From then on it is opened for each sum that is asked for."""
        self._over = True
        if self._file is not None:
            self._file.close()
            self._file = None

    def _reopened(self) -> bool:
        """Open the file again after the fit; False if it is not as this fit left it, or another fit writes it."""
        if self._lost:
            return False
        try:
            file = self.path.open("r+b", buffering=0)
            if _locked(file) and os.fstat(file.fileno()).st_size == self._end:
                file.seek(self._end - DIGEST)
                if file.read(DIGEST) == self._digest:
                    self._file = file
                    return True
            file.close()
        except OSError:
            pass
        self._lost = True
        return False

    # -- reading what is there -----------------------------------------------------------------------------------

    def _opened(self) -> BinaryIO:
        try:
            file = self.path.open("r+b" if self.path.exists() else "x+b", buffering=0)
            _forced(self.path.parent)
        except OSError as error:
            raise DataError(
                f"checkpoint: {self.path} cannot be opened: {error.strerror}; choose another name"
            ) from error
        if not _locked(file):
            file.close()
            raise DataError(
                f"checkpoint: {self.path} is being written by another fit; wait for it, or pass another name"
            )
        return file

    def _begin(self, description: dict[str, Any]) -> None:
        assert self._file is not None
        begin = self._file.read(len(MAGIC))
        if not MAGIC.startswith(begin):
            raise DataError(
                f"checkpoint: expected the file of an earlier fit, or a new name; {self.path} is another kind of "
                "file. Pass another name"
            )
        if begin == MAGIC:
            self._scan()
        if self._entries:
            self._refuse_other(self._entry(0), description)
        else:
            self._write(MAGIC, 0)
            self._append(encode(description))

    def _scan(self) -> None:
        """Find the complete entries; an incomplete one at the end is cut off."""
        assert self._file is not None
        size, at = self.path.stat().st_size, len(MAGIC)
        while at < size:
            self._file.seek(at)
            head = self._file.read(HEAD)
            if len(head) < HEAD:
                break
            if head[LENGTH.size :] != self._check(head[: LENGTH.size]):
                if (head + self._file.read()).strip(b"\0"):
                    raise self._altered()
                break  # a file system may extend a file before it writes the content
            (length,) = LENGTH.unpack(head[: LENGTH.size])
            end = at + HEAD + length + DIGEST
            if end > size:
                break
            digest = self._after(self._file.read(length))
            if self._file.read(DIGEST) != digest:
                if end < size:
                    raise self._altered()
                break
            self._entries.append((at, digest))
            at = end
        self._file.truncate(at)
        self._end = at

    @property
    def _digest(self) -> bytes:
        """The digest of everything up to here."""
        return self._entries[-1][1] if self._entries else hashlib.sha256(MAGIC).digest()

    def _after(self, content: bytes) -> bytes:
        return hashlib.sha256(self._digest + content).digest()

    def _check(self, length: bytes) -> bytes:
        return hashlib.sha256(self._digest + length).digest()[:CHECK]

    def _entry(self, number: int) -> Any:
        assert self._file is not None
        self._file.seek(self._entries[number][0])
        (length,) = LENGTH.unpack(self._file.read(HEAD)[: LENGTH.size])
        try:
            return decode(self._file.read(length))
        except ValueError as error:
            raise self._altered() from error

    def _altered(self) -> DataError:
        return DataError(
            f"checkpoint: expected a file as the fit wrote it; {self.path} was changed. Delete it and fit again"
        )

    def _refuse_other(self, found: Any, now: dict[str, Any]) -> None:
        for name in now if isinstance(found, dict) else ():
            if found.get(name) != now[name]:
                raise DataError(
                    f"checkpoint: expected a file of the same fit; {self.path} is of another: "
                    f"{difference(name, found.get(name), now[name])}. Delete the file, or pass another name"
                )

    # -- sums ----------------------------------------------------------------------------------------------------

    def answer(self, question: tuple[Any, ...], compute: Callable[[], T]) -> T:
        """The next sum: from the file if it answers this question, otherwise computed and added to it.

        A sum that consists of rows is not kept, but computed again.

        Raises
        ------
        DataError
            If the file cannot be written, for example because the disk is full.
        """
        if self._file is not None:
            return self._answer(question, compute)
        if not self._reopened():
            return compute()
        try:
            return self._answer(question, compute)
        finally:
            self.close()

    def _answer(self, question: tuple[Any, ...], compute: Callable[[], T]) -> T:
        assert self._file is not None
        number, asked = 1 + self.read + self.written, hashlib.sha256(encode(question)).hexdigest()
        if number < len(self._entries):
            found, kept, value = self._entry(number)
            if found == asked:
                self.read += 1
                return value if kept else compute()
            # With other options, or on another processor, the fit goes another way from here.
            self._end = self._entries[number][0]
            self._file.truncate(self._end)
            del self._entries[number:]
        value = compute()
        try:
            entry = encode((asked, True, value))
        except UnencodableError:
            entry = encode((asked, False, None))
        try:
            self._append(entry)
        except DataError:
            if not self._over:
                raise
            self._lost = True  # the fit is there, and goes on without the file
        self.written += 1
        return value

    def _append(self, content: bytes) -> None:
        assert self._file is not None
        length, digest = LENGTH.pack(len(content)), self._after(content)
        end = self._file.seek(0, os.SEEK_END)
        entry = length + self._check(length) + content + digest
        self._write(entry, end)
        self._entries.append((end, digest))
        self._end = end + len(entry)

    def _write(self, content: bytes, at: int) -> None:
        assert self._file is not None
        try:
            self._file.seek(at)
            view = memoryview(content)
            while view:
                view = view[self._file.write(view) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            with suppress(OSError):
                self._file.truncate(at)
            raise DataError(
                f"checkpoint: {self.path} cannot be written: {error.strerror}; make room and call again, which goes "
                "on from the last complete pass"
            ) from error


def difference(what: str, found: Any, now: Any) -> str:
    """The first difference between two descriptions, in words.

    Examples
    --------
    >>> difference("formula", "y ~ x", "y ~ z")
    "its formula was 'y ~ x', and now it is 'y ~ z'"
    """
    if isinstance(found, dict) and isinstance(now, dict) and set(found) == set(now):
        key = next(key for key in now if found[key] != now[key])
        return difference(f"{what}'s {key}", found[key], now[key])
    if isinstance(found, list) and isinstance(now, list):
        if len(found) != len(now):
            return f"the number of its {what} was {len(found)}, and now it is {len(now)}"
        at = next(i for i, (before, after) in enumerate(zip(found, now, strict=True)) if before != after)
        names = {one["name"] for one in (found[at], now[at]) if isinstance(one, dict) and "name" in one}
        which = names.pop() if len(names) == 1 else at + 1
        return difference(f"{what.removesuffix('s')} {which}", found[at], now[at])
    return f"its {what} was {found!r}, and now it is {now!r}"


def _forced(folder: Path) -> None:
    """Force the name of a new file to the disk; where folders cannot be opened, nothing is done."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _locked(file: BinaryIO) -> bool:
    """Take the lock of a file, until it is closed; False if another process has it. Without locks, True."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network file systems have no locks
        return True
    return True


@dataclass(frozen=True)
class Recorded:
    """An executor whose sums are kept in a journal.

    Attributes
    ----------
    inner : the executor that computes them.
    journal : where they are kept.
    """

    inner: Any
    journal: Journal = field(compare=False, repr=False)

    @property
    def device(self) -> Any:
        """The device of the executor inside, if it has one."""
        return getattr(self.inner, "device", None)

    def map(self, function: Callable[[B], T], blocks: Sequence[B]) -> list[T]:
        return self.inner.map(function, blocks)

    @property
    def sum(self) -> Any:
        """The sum of an executor with workers; None of any other."""
        return getattr(self.inner, "sum", None)

    def __reduce__(self) -> Any:
        return itself, (self.inner,)  # a copy in another process computes without the journal


def answering(executor: Any) -> Keeping:
    """What an executor does for a reading that is no sum over blocks: it keeps it, and shows how far it is."""
    inner = executor.inner if isinstance(executor, Recorded) else executor
    show, last = (inner.show, inner.inner) if isinstance(inner, Watched) else (unseen, inner)
    last = threads() if last is None else last
    others: dict[str, Any] = {"show": show, "workers": last if hasattr(last, "sum") else None}
    if isinstance(last, Threads):
        others["threads"] = last
    return Keeping(executor.journal.answer, **others) if isinstance(executor, Recorded) else Keeping(**others)
