"""The fixed tree by which sums are added, in parts: by workers that each have some of the terms.

Of n terms neighbours are added, then neighbouring sums, until one is left (:func:`raphson.execute.tree_sum`); the last
of an odd number goes up alone. A worker that has some terms adds those pairs of which it has both, and what it sends is
the fewest nodes of the tree that its terms make up. So the sum has the same bits however the terms are shared out.
"""

from __future__ import annotations

from typing import Any


class Tree:
    """A sum of `n` terms, of which some have been added so far, in any order.

    Examples
    --------
    >>> one, other = Tree(5), Tree(5)
    >>> for number in (0, 1, 2):
    ...     one.add(number, "abcde"[number])
    >>> for number in (3, 4):
    ...     other.add(number, "abcde"[number])
    >>> one.nodes, other.nodes
    ({(1, 0): 'ab', (0, 2): 'c'}, {(0, 3): 'd', (2, 1): 'e'})
    >>> one.join(other.nodes)
    >>> one.total
    'abcde'
    """

    def __init__(self, n: int) -> None:
        self._counts = [n]
        while self._counts[-1] > 1:
            self._counts.append((self._counts[-1] + 1) // 2)
        self.nodes: dict[tuple[int, int], Any] = {}
        """The sums that are complete, by level and number within the level; level 0 has the terms themselves."""

    def add(self, number: int, term: Any, level: int = 0) -> None:
        """Add a term, or a node of a higher level."""
        while level < len(self._counts) - 1:
            alone = number % 2 == 0 and number == self._counts[level] - 1
            if not alone:
                if (level, number ^ 1) not in self.nodes:
                    break
                other = self.nodes.pop((level, number ^ 1))
                term = other + term if number % 2 else term + other
            level, number = level + 1, number // 2
        self.nodes[level, number] = term

    def join(self, nodes: dict[tuple[int, int], Any]) -> None:
        """Add what another has."""
        for (level, number), term in nodes.items():
            self.add(number, term, level)

    @property
    def total(self) -> Any:
        """The sum of all terms, once they are all there."""
        return self.nodes[len(self._counts) - 1, 0]
