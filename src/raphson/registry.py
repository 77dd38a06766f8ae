"""What can be asked for by name: the parts that come with Raphson, and those that users register beside them.

Families, links, densities, covariances, methods and streamed sources are each found in a :class:`Registry`, and
registered in one way: ``register(part)``, where the part knows its ``name``, and what is wrong with it is said at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Generic, TypeVar

from raphson.errors import ModelError

Part = TypeVar("Part")


class NotRegisteredError(ModelError):
    """A name that nothing has been registered by, in this process."""


class Registry(Mapping[str, Part], Generic[Part]):
    """Parts of one kind by name, in the order in which they came.

    Parameters
    ----------
    argument : which a message begins with, such as "family".
    kind, kinds : what one of them is called, and several.
    how : the call that registers one.
    check : says what is wrong with a part that a user gives, by raising a ModelError.
    aliases : other spellings of names.

    Examples
    --------
    >>> units = Registry("unit", "unit", "units", "register(unit)", lambda unit: None, {"metre": "m"})
    >>> units.own("m", 1.0)
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
        self._parts: dict[str, Part] = {}
        self._ours: frozenset[str] = frozenset()

    def __getitem__(self, name: str) -> Part:
        return self._parts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def own(self, name: str, part: Part) -> None:
        """Take in a part that comes with Raphson."""
        self._parts[name] = part
        self._ours |= {name}

    def is_own(self, name: str) -> bool:
        """Whether a part of this name comes with Raphson."""
        return name in self._ours

    def register(self, name: Any, part: Part) -> Part:
        """Take in a part of the user's; one of the same name that was registered before goes.

        Raises
        ------
        ModelError
            If the name is none, or belongs to a part that comes with Raphson, or the part is not whole.
        """
        self._check(part)
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
            raise ModelError(
                f"{self.how}: expected a name of letters, digits, '_' and '-', such as 'my_{self.kind}'; got {name!r}"
            )
        if name in self._ours or name in self._aliases:
            raise ModelError(f"{self.how}: {name!r} is a {self.kind} that comes with Raphson; choose another name")
        self._parts[name] = part
        return part

    def name_of(self, given: str) -> str | None:
        """The name meant, in either case and with ``-``, ``.`` or a space for ``_``; None if there is none."""
        folded = _folded(given)
        alias = self._aliases.get(folded, folded)
        return next((name for name in self._parts if _folded(name) == alias), None)

    def find(self, given: str) -> Part:
        """The part meant by a name.

        Raises
        ------
        NotRegisteredError
            The message lists the names there are.
        """
        name = self.name_of(given)
        if name is None:
            raise self.unknown(given)
        return self._parts[name]

    def unknown(self, given: str, remedy: str = "", like: str | None = None) -> NotRegisteredError:
        """What to say of a name that nothing has; `like` is what it is compared with."""
        near = get_close_matches(_folded(given if like is None else like), [*self._parts, *self._aliases], n=1)
        hint = f" Did you mean {self._aliases.get(near[0], near[0])!r}?" if near else ""
        known = ", ".join(self._parts)
        return NotRegisteredError(
            f"{self.argument}: there is no {self.kind} named {given!r}.{hint} The {self.kinds} are {known}.{remedy}"
        )

    def saved(self, given: Any) -> Part:
        """The part that a saved fit names.

        Raises
        ------
        NotRegisteredError
            If it has to be registered first.
        """
        if given not in self._parts:
            raise self.unknown(str(given), f" The saved fit uses it: register it with {self.how} before rp.load.")
        return self._parts[given]


def _folded(name: str) -> str:
    return re.sub(r"[-.\s]+", "_", name.strip().lower())
