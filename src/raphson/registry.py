"""Parts that are found by name: those that come with Raphson, and those that users register.

Families, links, densities, covariances, methods and streamed sources each have a :class:`Registry`. All are registered
in the same way, by ``register(part)``: the part has a ``name``, and is checked at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Generic, TypeVar

from raphson.errors import ModelError
from raphson.hints import table

Part = TypeVar("Part")


class NotRegisteredError(ModelError):
    """No part of this name has been registered in this process."""


class Registry(Mapping[str, Part], Generic[Part]):
    """Parts of one kind by name, in the order of registration.

    Parameters
    ----------
    argument : the argument with which messages begin, such as "family".
    kind, kinds : singular and plural of what the parts are called.
    how : the call that registers a part.
    check : raises a ModelError if something is wrong with a user's part.
    aliases : other spellings of names.

    Examples
    --------
    >>> units = Registry("unit", "unit", "units", "register(unit)", lambda unit: None, {"metre": "m"})
    >>> units.add_builtin("m", 1.0)
    >>> units.find("metre"), "m" in units, list(units)
    (1.0, True, ['m'])
    >>> units.find("mm")
    Traceback (most recent call last):
    raphson.registry.NotRegisteredError: unit: there is no unit named 'mm'. Did you mean 'm'? The units are m.
    """

    def __init__(
        self,
        argument: str,
        kind: str,
        kinds: str,
        how: str,
        check: Callable[[Part], None],
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        self.argument, self.kind, self.kinds, self.how = argument, kind, kinds, how
        self._check = check
        self._aliases = dict(aliases or {})
        self._parts: dict[str, Callable[[], Part]] = {}
        self._ours: frozenset[str] = frozenset()

    def __getitem__(self, name: str) -> Part:
        return self._parts[name]()

    def __contains__(self, name: object) -> bool:
        return name in self._parts

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def add_builtin(self, name: str, part: Part) -> None:
        """Add a part that comes with Raphson."""
        self.add_later(name, lambda: part)

    def add_later(self, name: str, find: Callable[[], Part]) -> None:
        """Add a part that comes with Raphson, and whose module is imported when it is first asked for."""
        self._parts[name] = find
        self._ours |= {name}

    def is_builtin(self, name: str) -> bool:
        """Whether a part of this name comes with Raphson."""
        return name in self._ours

    def register(self, name: Any, part: Part) -> Part:
        """Add a user's part; it replaces an earlier one of the same name.

        Raises
        ------
        ModelError
            If the name is not valid or belongs to a part that comes with Raphson, or something is wrong with the part.
        """
        self._check(part)
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
            raise ModelError(
                f"{self.how}: expected a name of letters, digits, '_' and '-', such as 'my_{self.kind}'; got {name!r}"
            )
        if name in self._ours or name in self._aliases:
            raise ModelError(f"{self.how}: {name!r} is a {self.kind} that comes with Raphson; choose another name")
        self._parts[name] = lambda: part
        return part

    def name_of(self, given: str) -> str | None:
        """The name of the part meant, in either case and with ``-``, ``.`` or a space for ``_``; None if unknown."""
        if given in self._parts:
            return given
        folded = _folded(given)
        alias = self._aliases.get(folded, folded)
        return next((name for name in self._parts if _folded(name) == alias), None)

    def find(self, given: str) -> Part:
        """The part of a name, spelt as :meth:`name_of` allows.

        Raises
        ------
        NotRegisteredError
            The message lists the names there are.
        """
        name = self.name_of(given)
        if name is None:
            raise self.unknown(given)
        return self[name]

    def unknown(self, given: str, remedy: str = "", like: str | None = None) -> NotRegisteredError:
        """The error for an unknown name; names similar to `like` are suggested."""
        meant = _folded(given if like is None else like)
        near = get_close_matches(meant, [*self._parts, *self._aliases], n=1)
        hint = f" Did you mean {self._aliases.get(near[0], near[0])!r}?" if near else ""
        if (foreign := table(self.argument).get(meant)) is not None:
            hint = f" Did you mean {foreign}?"
        known = ", ".join(self._parts)
        return NotRegisteredError(
            f"{self.argument}: there is no {self.kind} named {given!r}.{hint} The {self.kinds} are {known}.{remedy}"
        )

    def saved(self, given: Any) -> Part:
        """The part that a saved fit names.

        Raises
        ------
        NotRegisteredError
            If the part has not been registered in this process.
        """
        if given not in self._parts:
            raise self.unknown(str(given), f" The saved fit uses it: register it with {self.how} before rp.load.")
        return self[given]


@lru_cache(maxsize=1024)
def _folded(name: str) -> str:
    return re.sub(r"[-.\s]+", "_", name.strip().lower())
