"""The algebra of terms: ``a*b``, ``(a + b)^2`` and ``- 1`` expanded into a sum of terms.

The operators are those of Wilkinson and Rogers (Applied Statistics 22, 1973), as R and formulaic have them. For sums of
terms l and r, the powers of ``^`` first:

==========  ==============================================================
``l^n``     the products of n terms of l: those of at most n different ones
``l:r``     each term of l with each of r
``l*r``     l + r + l:r
``l/r``     l + (the product of all terms of l):r
``l + r``   the terms of l, then those of r that are not among them
``l - r``   the terms of l that are not among r's
==========  ==============================================================

A variable times itself is itself, and ``a:b`` is ``b:a``: the one written first stays. ``1`` is the intercept, which
stands before the first term unless it is taken away; ``0`` is ``- 1``. Several signs in a row are ``-`` if an odd
number of them is. A sum in brackets that begins with ``-`` begins with nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from raphson.data.messages import short
from raphson.errors import FormulaError

MOST_TERMS = 20_000
"""Terms of a formula at most: the information of so many columns takes 3.2 GB."""

Term = tuple[str, ...]
Terms = dict[frozenset[str], Term]
"""Terms in order, by their variables, whose order does not tell two terms apart."""

_ONE: Term = ("1",)
"""The intercept, while sums are expanded."""
_SIGNS = frozenset("+-")


def expand(tokens: Sequence[str], text: str) -> list[Term]:
    """Expand a formula's right side into its terms, each a tuple of its variables; the intercept is ``()``.

    Parameters
    ----------
    tokens : sequence of str
        The operators ``+ - * / : ^ ** ( )``, whole numbers, and identifiers for the variables.
    text : str
        The formula, for messages.

    Raises
    ------
    FormulaError
        If an operator, a variable or a bracket is not where it can be, a number is multiplied by a variable, or a
        product has more than :data:`MOST_TERMS` terms.

    Examples
    --------
    >>> expand("( a + b ) ^ 2 - a".split(), "y ~ (a + b)^2 - a")
    [(), ('a', 'b'), ('b',)]
    >>> expand("0 + a / b".split(), "y ~ 0 + a/b")
    [('a',), ('a', 'b')]
    """
    reader = _Reader(tokens, text)
    terms = reader.sum([_ONE]).values()
    if reader.next is not None:
        raise reader.unreadable()
    if any("1" in term for term in terms if term != _ONE):
        raise reader.number_in_product()
    return [() if term == _ONE else term for term in terms]


class _Reader:
    """Reads tokens from left to right, by a method for each level of precedence."""

    def __init__(self, tokens: Sequence[str], text: str) -> None:
        self._tokens, self._at, self._text = tokens, 0, text

    @property
    def next(self) -> str | None:
        """The next token; None at the end."""
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _take(self) -> str | None:
        token = self.next
        self._at += 1
        return token

    def sum(self, before: Iterable[Term] = ()) -> Terms:
        """Terms added to those before, and taken away from them."""
        terms = _joined(before)
        negative = self._signs()
        while True:
            if self.next == "0":
                self._take()
                if self.next not in (None, ")", *_SIGNS):
                    raise self.number_in_product()
                negative, summand = not negative, _joined([_ONE])
            else:
                summand = self._factorial()
            for variables, term in summand.items():
                if negative:
                    terms.pop(variables, None)
                else:
                    terms.setdefault(variables, term)
            if self.next not in _SIGNS:
                return terms
            negative = self._signs()

    def _signs(self) -> bool:
        """Whether an odd number of the signs that come next is ``-``."""
        negative = False
        while self.next in _SIGNS:
            negative ^= self._take() == "-"
        return negative

    def _factorial(self) -> Terms:
        """Sums crossed by ``*`` or nested by ``/``."""
        left = self._interaction()
        while self.next in ("*", "/"):
            operator, right = self._take(), self._interaction()
            if operator == "*":
                left = _joined(left.values(), right.values(), self._products(left, right).values())
            elif not left:
                raise self.unreadable()
            else:
                whole = _joined([tuple(dict.fromkeys(name for term in left.values() for name in term))])
                left = _joined(left.values(), self._products(whole, right).values())
        return left

    def _interaction(self) -> Terms:
        left = self._power()
        while self.next == ":":
            self._take()
            left = self._products(left, self._power())
        return left

    def _power(self) -> Terms:
        base = self._operand()
        if self.next not in ("^", "**"):
            return base
        self._take()
        exponent = self._take()
        if exponent is None or not exponent.isdigit() or self.next in ("^", "**"):
            raise self.unreadable()
        power = base
        for _ in range(int(exponent) - 1):
            higher = self._products(power, base)
            if list(higher.values()) == list(power.values()):  # then so are all that follow
                break
            power = higher
        return power

    def _operand(self) -> Terms:
        token = self._take()
        if token == "0":
            raise self.number_in_product()
        if token == "(":
            inner = self.sum()
            if self._take() != ")":
                raise self.unreadable()
            return inner
        if token == "1" or (token is not None and token.isidentifier()):
            return _joined([(token,)])
        raise self.unreadable()

    def _products(self, left: Terms, right: Terms) -> Terms:
        """The product of each term on the left with each on the right."""
        if len(left) * len(right) > MOST_TERMS:
            raise FormulaError(
                f"formula: {short(self._text)} expands to more than {MOST_TERMS} terms; use a lower power or fewer "
                "interactions"
            )
        return _joined(tuple(dict.fromkeys(one + other)) for one in left.values() for other in right.values())

    def unreadable(self) -> FormulaError:
        """The error for a token that cannot be where it is."""
        return FormulaError(
            f"formula: cannot read {short(self._text)}; look for a missing operator, name or bracket, as in "
            "'y ~ a + b*x'"
        )

    def number_in_product(self) -> FormulaError:
        """The error for a number that is multiplied by a variable."""
        return FormulaError(f"formula: a number is part of an interaction in {short(self._text)}; remove it there")


def _joined(*sums: Iterable[Term]) -> Terms:
    """The different terms of sums, in order; of equal ones the first."""
    terms: Terms = {}
    for one in sums:
        for term in one:
            terms.setdefault(frozenset(term), term)
    return terms
