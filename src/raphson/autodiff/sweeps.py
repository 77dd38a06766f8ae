r"""The two sweeps of reverse-mode differentiation, one elementary step after the other.

A function is a sequence of steps z_k = φ_k(z_j, ...), each an operation whose derivative is known. The forward sweep
computes and records each step. The reverse sweep, from the last step to the first, computes the *adjoint* z̄ = ∂f/∂z of
each quantity as the sum of what the steps that use it pass back (the chain rule):

    z̄_j = Σ_k z̄_k ∂φ_k/∂z_j        over the steps k with z_j among their inputs; f̄ = 1.

Griewank and Walther (2008), Evaluating Derivatives, section 3.2. JAX supplies the derivative ∂φ/∂z of each single
operation; everything else is done here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from raphson.autodiff.rules import CompiledRule, Rule, Stack, Take, host, rule_of
from raphson.autodiff.trace import Source, readable_errors, source_of
from raphson.autodiff.walk import walk
from raphson.compat import CUSTOM, Equation, closed, jax, name_of, operation_name
from raphson.errors import ModelError
from raphson.numeric import device, x64

ELEMENTWISE = frozenset(
    [
        *("abs", "acos", "acosh", "add", "and", "asin", "asinh", "atan", "atan2", "atanh", "bessel_i0e"),
        *("bessel_i1e", "cbrt", "ceil", "clamp", "convert_element_type", "copy", "copy_p", "cos", "cosh"),
        *("digamma", "div", "erf", "erf_inv", "erfc", "exp", "exp2", "expm1", "floor", "igamma"),
        *("igamma_grad_a", "igammac", "integer_pow", "lgamma", "log", "log1p", "logistic", "max", "min", "mul"),
        *("neg", "nextafter", "polygamma", "pow", "random_gamma_grad", "real", "regularized_incomplete_beta"),
        *("rem", "round", "rsqrt", "select_n", "sign", "sin", "sinh", "sqrt", "square", "stop_gradient", "sub"),
        *("tan", "tanh", "xlogy", "xlog1py", "zeta", "logaddexp", "relu", "entr"),
    ]
)
"""Elementwise operations: their Jacobian is diagonal, with one number for each element."""

_SMALL = 16
"""Most inputs and outputs of a step whose local Jacobian is computed."""


@dataclass(eq=False)
class Quantity:
    """A number or an array that is an input or output of steps.

    Attributes
    ----------
    name : str
        ``z3``, an argument's name, or a constant's value.
    value : ndarray
    active : bool
        Whether it depends on the arguments in a way that can be differentiated.
    adjoint : ndarray or None
        ∂f/∂(this), of the value's shape; None if f doesn't depend on it.
    """

    name: str
    value: Any
    active: bool = False
    adjoint: Any = None

    @property
    def shape(self) -> tuple[int, ...]:
        """() for a number."""
        return tuple(np.shape(self.value))


@dataclass(eq=False)
class Step:
    """One elementary step.

    Attributes
    ----------
    index : int
        k of z_k, from 1.
    operation : str
        The primitive's name, or the name of a function that has a derivative of its own.
    inputs, outputs : tuple of Quantity
        There is nearly always one output.
    parameters : dict
        The operation's fixed parameters, such as an exponent.
    source : Source or None
        The line of the user's code.
    breaks : bool
        Whether it passes back an adjoint that is not finite although its own is.
    """

    index: int
    operation: str
    inputs: tuple[Quantity, ...]
    outputs: tuple[Quantity, ...]
    parameters: dict[str, Any]
    source: Source | None
    rule: Rule = field(repr=False)
    breaks: bool = False

    @property
    def name(self) -> str:
        """``z3``."""
        return f"z{self.index}"

    @property
    def value(self) -> Any:
        """Its result: an array (0-dimensional for a number), or a tuple of them."""
        values = tuple(one.value for one in self.outputs)
        return values[0] if len(values) == 1 else values

    @property
    def adjoint(self) -> Any:
        """∂f/∂z, shaped like ``value``; zeros if f does not depend on it."""
        adjoints = tuple(_zeros(one) if one.adjoint is None else one.adjoint for one in self.outputs)
        return adjoints[0] if len(adjoints) == 1 else adjoints

    @property
    def shape(self) -> Any:
        """Shape of the value."""
        shapes = tuple(one.shape for one in self.outputs)
        return shapes[0] if len(shapes) == 1 else shapes

    @property
    def file(self) -> str | None:
        """The user's file."""
        return None if self.source is None else self.source.file

    @property
    def line(self) -> int | None:
        """Its line in the file."""
        return None if self.source is None or not self.source.line else self.source.line

    @property
    def text(self) -> str:
        """The text of that line."""
        return "" if self.source is None else self.source.text

    @property
    def active(self) -> tuple[int, ...]:
        """The inputs to which the sweep passes adjoints."""
        return tuple(k for k, one in enumerate(self.inputs) if one.active)

    @property
    def is_active(self) -> bool:
        """Whether its result depends on the arguments in a way that can be differentiated."""
        return any(one.active for one in self.outputs)

    @cached_property
    def partials(self) -> tuple[Any, ...]:
        """∂φ/∂z for each input, by position.

        A number for a step on numbers; for an elementwise step on arrays, the array of its elements' partials;
        otherwise the Jacobian with shape (output's shape) + (input's shape) if both have at most 16 elements. None for
        a larger Jacobian, and for an input that does not depend on the arguments.
        """
        result: list[Any] = [None] * len(self.inputs)
        out, *others = self.outputs
        if others or not out.active:
            return tuple(result)
        active = self.active
        with differentiating():
            if self.operation in ELEMENTWISE or out.shape == ():
                if any(self.inputs[k].shape not in ((), out.shape) for k in active) and out.shape != ():
                    return tuple(result)
                found: Sequence[Any] = self.pull([np.ones_like(out.value)])
            elif out.value.size == 0:
                return tuple(result)
            elif out.value.size <= _SMALL and all(self.inputs[k].value.size <= _SMALL for k in active):
                unit = np.eye(out.value.size, dtype=out.value.dtype).reshape(out.value.size, *out.shape)
                rows = [self.pull([one]) for one in unit]
                found = [np.stack(column).reshape(out.shape + column[0].shape) for column in zip(*rows, strict=True)]
            else:
                return tuple(result)
        for k, partial in zip(active, found, strict=True):
            result[k] = partial
        return tuple(result)

    def pull(self, adjoints: Sequence[Any], inputs: Sequence[Any] | None = None) -> list[Any]:
        """Pass adjoints of the outputs (None: unused) back to the active inputs; call it in the 64-bit scope."""
        used = tuple(k for k, one in enumerate(adjoints) if one is not None and self.outputs[k].active)
        numbers = [one.value for one in self.inputs] if inputs is None else inputs
        return list(self.rule.pullback(numbers, self.active, used, [adjoints[k] for k in used]))


class Recorder:
    """The forward sweep: computes and records each step; control flow is unrolled."""

    def __init__(self, what: str, most: int) -> None:
        self.what = what
        self.most = most
        self.steps: list[Step] = []
        self._compiled: dict[int, Rule] = {}
        self._silent = False

    def run(self, jaxpr: Any, inputs: Sequence[Quantity]) -> list[Quantity]:
        """Compute the outputs of a jaxpr; call it in the 64-bit scope."""
        return self._walk(jaxpr, inputs, None)

    def visit(self, equation: Equation, inputs: list[Quantity], site: Equation) -> Sequence[Quantity]:
        """Compute one equation: control flow by its own rule, anything else as one step."""
        unroll = {"cond": self._cond, "while": self._while, "scan": self._scan}.get(name_of(equation))
        if unroll is not None:
            return unroll(equation, inputs, None if site is equation else site)
        return self.step(operation_name(equation), self._rule(equation), inputs, site, equation.params)

    def step(
        self, operation: str, rule: Rule, inputs: Sequence[Quantity], site: Equation, parameters: Any = None
    ) -> tuple[Quantity, ...]:
        """Compute and record a step."""
        if len(self.steps) >= self.most:
            place = source_of(site)
            raise ModelError(
                f"{self.what}: it takes more than {self.most} elementary steps" + (f" (at {place})" if place else "")
                + "; shorten its loops, or raise max_steps="
            )  # fmt: skip
        try:
            values = rule.value([one.value for one in inputs])
        except Exception as error:
            raise self.unsupported(operation, site, error) from error
        differentiable = operation != "stop_gradient" and any(one.active for one in inputs)
        index = len(self.steps) + 1
        names = [f"z{index}"] if len(values) == 1 else [f"z{index}[{k}]" for k in range(len(values))]
        outputs = tuple(
            Quantity(name, value, differentiable and _is_real(value)) for name, value in zip(names, values, strict=True)
        )
        if not self._silent:
            made = Step(index, operation, tuple(inputs), outputs, dict(parameters or {}), source_of(site), rule)
            self.steps.append(made)
        return outputs

    def unsupported(self, operation: str, site: Equation | Step, error: Exception) -> ModelError:
        """The error for an operation that cannot be computed or differentiated; it names the user's line."""
        place = site.source if isinstance(site, Step) else source_of(site)
        return unsupported(self.what, operation, place, error)

    def _walk(self, jaxpr: Any, inputs: Sequence[Quantity], site: Equation | None) -> list[Quantity]:
        return walk(closed(jaxpr), inputs, self.visit, lift=constant, keep=CUSTOM, site=site)

    def _rule(self, equation: Equation) -> Rule:
        kept = rule_of(equation.primitive, equation.params)
        if kept is not None:
            return kept
        # Rules that contain a user's function are kept for this sweep only.
        return self._compiled.setdefault(id(equation), CompiledRule(equation.primitive, equation.params))

    def _cond(self, equation: Equation, inputs: list[Quantity], site: Equation | None) -> list[Quantity]:
        branches = equation.params["branches"]
        taken = int(np.clip(int(inputs[0].value), 0, len(branches) - 1))
        return self._walk(branches[taken], inputs[1:], site)

    def _while(self, equation: Equation, inputs: list[Quantity], site: Equation | None) -> list[Quantity]:
        parameters = equation.params
        a, b = parameters["cond_nconsts"], parameters["body_nconsts"]
        of_test, of_body, carry = inputs[:a], inputs[a : a + b], inputs[a + b :]
        turns = 0
        while self._is_true(parameters["cond_jaxpr"], [*of_test, *carry]):
            carry = self._walk(parameters["body_jaxpr"], [*of_body, *carry], site)
            turns += 1
            if turns > self.most:
                raise ModelError(
                    f"{self.what}: a loop runs more than {self.most} times; shorten it, or raise max_steps="
                )
        return carry

    def _is_true(self, jaxpr: Any, inputs: list[Quantity]) -> bool:
        # No adjoint passes through the condition of a loop, so its steps are not recorded.
        before, self._silent = self._silent, True
        try:
            return bool(self._walk(jaxpr, inputs, None)[0].value)
        finally:
            self._silent = before

    def _scan(self, equation: Equation, inputs: list[Quantity], site: Equation | None) -> list[Quantity]:
        parameters = equation.params
        a, b, length = parameters["num_consts"], parameters["num_carry"], parameters["length"]
        fixed, carry, rows = inputs[:a], inputs[a : a + b], inputs[a + b :]
        order = range(length - 1, -1, -1) if parameters["reverse"] else range(length)
        made: list[list[Quantity]] = [[] for _ in equation.outvars[b:]]
        for k in order:
            here = [self._host_step(f"take[{k}]", Take(k), [row], site or equation) for row in rows]
            results = self._walk(parameters["jaxpr"], [*fixed, *carry, *here], site)
            carry = results[:b]
            for column, result in zip(made, results[b:], strict=True):
                column.append(result)
        stacked = []
        for column, variable in zip(made, equation.outvars[b:], strict=True):
            if not column:
                stacked.append(constant(np.zeros(variable.aval.shape, variable.aval.dtype)))
                continue
            in_order = column[::-1] if parameters["reverse"] else column
            stacked.append(self._host_step("stack", Stack(), in_order, site or equation))
        return [*carry, *stacked]

    def _host_step(self, operation: str, rule: Rule, inputs: list[Quantity], site: Equation) -> Quantity:
        if not any(one.active for one in inputs):
            return Quantity("constant", rule.value([one.value for one in inputs])[0])
        return self.step(operation, rule, inputs, site)[0]


def reverse_sweep(steps: Sequence[Step], output: Quantity, what: str) -> None:
    """Compute the adjoint of every quantity, from the last step to the first; call it in the 64-bit scope."""
    if not output.active:
        return
    output.adjoint = np.ones_like(output.value)
    for step in reversed(steps):
        adjoints = [one.adjoint for one in step.outputs]
        if all(one is None for one in adjoints):
            continue  # f does not depend on this step
        try:
            contributions = step.pull(adjoints)
        except Exception as error:
            raise unsupported(what, step.operation, step.source, error) from error
        own = all(is_finite(one) for one in adjoints if one is not None)
        step.breaks = own and not all(map(is_finite, contributions))
        for k, contribution in zip(step.active, contributions, strict=True):
            quantity = step.inputs[k]
            quantity.adjoint = contribution if quantity.adjoint is None else np.add(quantity.adjoint, contribution)


def unsupported(what: str, operation: str, place: Source | None, error: Exception) -> ModelError:
    """The error for an operation that cannot be computed or differentiated; it names the user's line."""
    where = f" at {place} (`{place.text}`)" if place else ""
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    return ModelError(
        f"{what}: the operation {operation!r}{where} cannot be differentiated step by step ({reason}); rewrite that "
        "line with other operations, or use method='finite'"
    )


def constant(value: Any) -> Quantity:
    """A constant as a quantity, named by its value if that is short."""
    value = host(value)
    text = f"{value.item():.6g}" if getattr(value, "size", 0) == 1 and value.dtype.kind in "fiu" else "constant"
    return Quantity(text, value)


def decomposed(jaxpr: Any, inputs: Sequence[Quantity], what: str, most: int) -> tuple[list[Step], Quantity]:
    """Run both sweeps over a jaxpr with one output; the inputs receive their adjoints.

    Returns
    -------
    steps : list of Step
    output : Quantity
    """
    with differentiating():
        recorder = Recorder(what, most)
        with readable_errors(what):
            (output,) = recorder.run(jaxpr, inputs)
        reverse_sweep(recorder.steps, output, what)
    return recorder.steps, output


@contextmanager
def differentiating() -> Iterator[None]:
    """Compute in 64 bits, on the device for derivatives, inside a ``with`` block."""
    with x64(), jax.default_device(device()):
        yield


def _is_real(value: Any) -> bool:
    # Complex intermediate results (fft, eigenvalues) have adjoints too.
    return np.issubdtype(value.dtype, np.inexact) if isinstance(value.dtype, np.dtype) else False


def is_finite(value: Any) -> bool:
    """Whether every number in a value is finite; True for values without numbers (the key of a random generator)."""
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    return kind not in ("f", "c") or bool(np.isfinite(value).all())


def _zeros(quantity: Quantity) -> Any:
    value = quantity.value
    return np.zeros(np.shape(value), value.dtype if _is_real(value) else float)
