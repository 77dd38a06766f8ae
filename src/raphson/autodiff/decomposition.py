"""The decomposition of a function into elementary steps, with their values, local partials and adjoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raphson.autodiff import show
from raphson.autodiff.sweeps import ELEMENTWISE, Quantity, Step, decomposed, differentiating, is_finite
from raphson.autodiff.trace import trace
from raphson.compat import jax
from raphson.errors import ModelError

_CONTRACTIONS = frozenset(["dot_general", "conv_general_dilated", "mul", "custom_linear_solve"])


@dataclass(frozen=True)
class Finding:
    """A step at which the gradient becomes non-finite or vanishes; it prints as a sentence.

    Attributes
    ----------
    step : Step
    reason : str
        What happens there.
    """

    step: Step
    reason: str

    @property
    def operation(self) -> str:
        """The step's operation."""
        return self.step.operation

    @property
    def value(self) -> Any:
        """The step's value."""
        return self.step.value

    @property
    def adjoint(self) -> Any:
        """The step's adjoint."""
        return self.step.adjoint

    @property
    def partials(self) -> tuple[Any, ...]:
        """The step's local partial derivatives."""
        return self.step.partials

    @property
    def index(self) -> int:
        """The step's number."""
        return self.step.index

    @property
    def file(self) -> str | None:
        """The user's file."""
        return self.step.file

    @property
    def line(self) -> int | None:
        """The line in that file."""
        return self.step.line

    @property
    def text(self) -> str:
        """The text of that line."""
        return self.step.text

    def __str__(self) -> str:
        place = f" at {self.step.source}" if self.step.line else ""
        text = f" (`{show.cut(self.text, 80)}`)" if self.text else ""
        return f"Step {self.step.index}, {self.step.name} = {show.expression(self.step)}{place}{text}: {self.reason}."

    def __repr__(self) -> str:
        return str(self)


class Decomposition:
    """A function at a point, as its elementary steps with their values, local partials and adjoints.

    Made by :func:`decompose`. It prints as a table, and a notebook also shows its graph.

    Attributes
    ----------
    name : str
        The function's name.
    value : float
        f(x) at the point x.
    arguments : tuple of Quantity
        The flat inputs: name, value and adjoint.
    steps : tuple of Step
        In the order in which they are computed.

    Examples
    --------
    >>> import raphson as rp
    >>> import jax.numpy as jnp
    >>> steps = rp.autodiff.decompose(lambda x: jnp.log(1 + jnp.exp(x)))(0.0)
    >>> [step.operation for step in steps.steps]
    ['exp', 'add', 'log']
    >>> float(steps.gradient())
    0.5
    """

    def __init__(
        self, name: str, arguments: Sequence[Quantity], steps: Sequence[Step], output: Quantity, tree: Any
    ) -> None:
        self.name = name
        self.arguments = tuple(arguments)
        self.steps = tuple(steps)
        self.output = output
        self._tree = tree

    @property
    def value(self) -> float:
        """f(x) at the point x."""
        return float(self.output.value)

    def gradient(self) -> Any:
        """∂f/∂argument from the reverse sweep.

        Returns
        -------
        float, ndarray or structure of them
            Shaped like the argument; a tuple if there are several.
        """
        leaves = [np.zeros(one.shape) if one.adjoint is None else np.asarray(one.adjoint) for one in self.arguments]
        arguments, _ = jax.tree_util.tree_unflatten(self._tree, [leaf[()] for leaf in leaves])
        return arguments[0] if len(arguments) == 1 else arguments

    def first_nonfinite(self) -> Finding | None:
        """Find the first step whose value or adjoint is not finite.

        The order is that of computation: the forward sweep, then the reverse sweep. A step counts if its inputs are
        finite but its value is not, or if its adjoint is finite but an adjoint that it passes on is not (its local
        partial is infinite). A step that only passes on an infinite constant does not count.

        Returns
        -------
        Finding or None
            None if everything is finite.
        """
        inherited = None
        for step in self.steps:
            if all(map(_finite, step.outputs)):
                continue
            if all(map(_finite, step.inputs)):
                return Finding(
                    step, f"its value is {_nonfinite(step)} although its inputs are finite ({_inputs(step)})"
                )
            if inherited is None:
                inherited = Finding(step, f"its value is {_nonfinite(step)}, as an input is ({_inputs(step)})")
        # A constant that is not finite does no harm where it is not selected: libraries fill unused elements with it.
        harmed = not _finite(self.output) or not all(map(_finite_adjoint, self.arguments))
        if inherited is not None and (harmed or not all(map(_finite, self.arguments))):
            return inherited
        for step in reversed(self.steps):
            if step.breaks:
                partials = show.partials(step)
                return Finding(
                    step,
                    f"it passes on an adjoint that is not finite: its local partials are {partials} at "
                    f"{_inputs(step)}, and its own adjoint is {show.number(step.adjoint)}",
                )
        return None

    def vanishing(self, threshold: float = 1e-6) -> Finding | None:
        """Find the step at which the gradient vanishes.

        The gradient vanishes at an argument if the derivative is tiny along every path from it to f, rather than
        because large ones cancel (as at an optimum). This is decided by a second reverse sweep with absolute values.
        Of the steps that depend on such an argument, the one with the smallest factor from its own adjoint to those
        it passes on is returned.

        Parameters
        ----------
        threshold : float
            Largest value of the sweep with absolute values, which is 1 at f, at which an argument's gradient counts as
            vanishing.

        Returns
        -------
        Finding or None
            None if the gradient vanishes at no argument.
        """
        with differentiating(), np.errstate(all="ignore"):
            magnitude, ratio = self._magnitudes()
        starved = [one for one in self.arguments if one.active and magnitude.get(id(one), 0.0) < threshold]
        if not starved:
            return None
        reached = {id(one) for one in starved}
        through = []
        for step in self.steps:
            if any(id(one) in reached for one in step.inputs):
                reached.update(id(one) for one in step.outputs)
                through.append(step)
        names = ", ".join(one.name for one in starved[:3]) + (" ..." if len(starved) > 3 else "")
        passed = [step for step in through if step.index in ratio]
        if not passed:
            cut = [step for step in through if not step.is_active]
            if not cut:
                return None
            return Finding(cut[-1], f"its derivative is 0, and f depends on {names} only through it")
        worst = min(passed, key=lambda step: ratio[step.index])
        if ratio[worst.index] >= 1.0:
            return None
        return Finding(
            worst,
            f"it multiplies the adjoint by {ratio[worst.index]:.2g} at {_inputs(worst)}; the adjoint of {names} is "
            f"{max(magnitude.get(id(one), 0.0) for one in starved):.2g}",
        )

    def _magnitudes(self) -> tuple[dict[int, float], dict[int, float]]:
        """The reverse sweep with absolute values: norms at the arguments, and the factor of each step."""
        sizes: dict[int, Any] = {id(self.output): np.ones_like(self.output.value)}
        ratio: dict[int, float] = {}
        for step in reversed(self.steps):
            mine = [_like(sizes.get(id(one)), one.value) if one.active else None for one in step.outputs]
            if all(one is None for one in mine):
                continue
            if step.operation in ELEMENTWISE:
                given = [np.abs(one) for one in step.pull([None if one is None else one for one in mine])]
            elif step.operation in _CONTRACTIONS:
                given = step.pull(mine, [np.abs(one.value) for one in step.inputs])
            else:
                given = step.pull(mine)
            given = [np.nan_to_num(np.abs(one), nan=np.inf, posinf=np.inf) for one in given]
            above = np.sqrt(sum(float(np.sum(np.square(np.abs(one)))) for one in mine if one is not None))
            if above > 0:
                ratio[step.index] = float(np.sqrt(sum(float(np.sum(np.square(one))) for one in given)) / above)
            for k, one in zip(step.active, given, strict=True):
                key = id(step.inputs[k])
                sizes[key] = one if key not in sizes else sizes[key] + one
        return {id(one): float(np.linalg.norm(sizes.get(id(one), 0.0))) for one in self.arguments}, ratio

    def to_text(self, most: int | None = None) -> str:
        """The table as text.

        Parameters
        ----------
        most : int, optional
            Most steps to show; the middle is left out if there are more. By default all are shown.
        """
        return show.as_text(self, most)

    def to_html(self) -> str:
        """A self-contained HTML page with the table and the graph."""
        return show.as_html(self)

    def to_dict(self) -> dict[str, Any]:
        """All contents as dicts, lists and numbers, as for JSON."""
        return show.as_dict(self)

    def __str__(self) -> str:
        return show.as_text(self, 200)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return show.fragment(self)

    def __len__(self) -> int:
        return len(self.steps)


def decompose(f: Callable[..., Any], *, max_steps: int = 100_000) -> Callable[..., Decomposition]:
    """Decompose a function into its elementary steps, and differentiate it step by step.

    JAX traces the function into elementary operations. Raphson then runs the forward sweep, which computes each
    step, and the reverse sweep, which computes its adjoint ∂f/∂z by the rule of its operation. Only the branch taken
    of a ``cond`` is followed. Loops are unrolled, even ``while`` loops, which ``jax.grad`` cannot differentiate.

    Parameters
    ----------
    f : callable
        ``f(*args)`` -> one number, written with ``jax.numpy``. The arguments are numbers, arrays, or dicts, lists and
        tuples of them.
    max_steps : int
        Most steps allowed, as a loop may never end.

    Returns
    -------
    callable
        Takes f's arguments, and returns a :class:`Decomposition`.

    Raises
    ------
    ModelError
        If f cannot be traced, does not return a single number, or has an operation without a derivative. The message
        names the operation and the line.
    DataError
        If an argument contains anything but real numbers.

    References
    ----------
    Griewank and Walther (2008), Evaluating Derivatives, 2nd ed., chapter 3.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> steps = decompose(lambda y, x: jnp.log(1 + jnp.exp(-y * x)))(1.0, 0.3)
    >>> [step.operation for step in steps.steps]
    ['neg', 'mul', 'exp', 'add', 'log']
    >>> [round(float(step.adjoint), 4) for step in steps.steps]
    [0.1277, 0.4256, 0.5744, 0.5744, 1.0]
    >>> [round(float(one), 4) for one in steps.gradient()]
    [-0.1277, -0.4256]
    """
    name = getattr(f, "__name__", "f")
    name = "f" if name == "<lambda>" else name

    def at(*args: Any) -> Decomposition:
        traced = trace(f, *args, what=name)
        shapes = [tuple(one.shape) for one in traced.jaxpr.out_avals]
        if len(shapes) != 1 or shapes[0] != ():
            got = f"an array of shape {shapes[0]}" if len(shapes) == 1 else f"{len(shapes)} results"
            raise ModelError(f"{name}: expected one number as its result; got {got}. Return one element, or the sum")
        if traced.jaxpr.out_avals[0].dtype.kind == "c":
            raise ModelError(
                f"{name}: expected a real number as its result; got a complex one. Return .real, or the absolute value"
            )
        arguments = [
            Quantity(argument, value, value.dtype.kind == "f")
            for argument, value in zip(traced.names, traced.values, strict=True)
        ]
        steps, output = decomposed(traced.jaxpr, arguments, name, max_steps)
        return Decomposition(name, arguments, steps, output, traced.tree)

    at.__name__ = f"decompose({name})"
    return at


def _like(size: Any, value: Any) -> Any:
    """An absolute value with the type of the adjoint of `value`: complex if that is complex."""
    return None if size is None else np.asarray(size, dtype=value.dtype)


def _finite(quantity: Quantity) -> bool:
    return is_finite(quantity.value)


def _finite_adjoint(quantity: Quantity) -> bool:
    return quantity.adjoint is None or bool(np.isfinite(quantity.adjoint).all())


def _nonfinite(step: Step) -> str:
    """The values of a step that are not finite, and their elements (rows)."""
    bad = next(one for one in step.outputs if not _finite(one))
    if not bad.shape:
        return show.number(bad.value)
    where = np.argwhere(~np.isfinite(bad.value)).tolist()
    first = ", ".join(f"{show.number(bad.value[tuple(place)])} in {place}" for place in where[:3])
    return first + (f" and not finite in {len(where) - 3} more elements" if len(where) > 3 else "")


def _inputs(step: Step) -> str:
    named = [one for one in step.inputs if one.active] or list(step.inputs)
    return ", ".join(f"{one.name} = {show.number(one.value)}" for one in named[:3]) or "no input"
