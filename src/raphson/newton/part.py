"""The end of an iteration over many rows: what a part of them says of the last step, so that it is not read for.

A Newton step s = M⁻¹∇ℓ from d standard errors away leaves what M changes along it, some d²/√n. The part of the rows
that the iteration started with says how much that is: of its own score,

    r = share (∇ℓ_part(θ + s) − ∇ℓ_part(θ) + M_part(θ) s),

where all rows have `share` times as many as the part. M⁻¹r corrects the step, and leaves as much of r as the part errs
by. In the same way the part carries M to the maximum,

    M(θ̂) ≈ M(θ) + share (M_part(θ̂) − M_part(θ)).

Of a small part this also serves for the first step of all, which begins at the part's own maximum: see
:data:`LIGHT`.
"""
# pyright: strict

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from raphson.model.objective import Evaluation, Gram, Kind, Need, Objective, Root
from raphson.newton.solve import Direction

CARRIED: tuple[Kind, ...] = ("expected", "observed")
"""Information that a part of the rows carries on."""

LIGHT = 20.0
"""How many times as many rows as the part all of them are at least, where M is evaluated with the first score, and the
step by it corrected by the part.

The maximum of m rows of n is d₀ = ε √n standard errors from that of all, with ε = √(p/m). A step by the M of the part
leaves ε d₀ of that, and one by the M of all rows some d₀²/√n, which is as much; but this the part knows to within ε, so
that the corrected step leaves d₁ = ε³ √n. From there a step by the M of d₁, corrected once more, leaves
ε d₁²/√n = ε⁷ √n: 3e-11 standard errors of n = 10⁷ with m = 10⁴ p, where the M of the part would leave ε⁵ √n = 3e-7.
So two readings of all rows lead to the maximum, and without this three or four. The correction takes two readings of
the part, a tenth of one of all rows at most."""

SPARED = 2.0
"""How many readings of all rows for the score alone the M with the first score spares, at least one and mostly two. It
is worth them where rows are streamed. In memory M of 200 columns takes as long as six readings of 300,000 rows: a
logistic regression took 1.75 s of processor time for 1.25."""


@dataclass(frozen=True)
class Part:
    """A part of the rows.

    Attributes
    ----------
    objective : of the part alone.
    share : number of all rows over those of the part.
    """

    objective: Objective
    share: float

    @property
    def error(self) -> float:
        """√(p/m), the relative error of the part's information."""
        return min(1.0, math.sqrt(self.objective.n_params / self.objective.n_cases))

    def light(self, objective: Objective) -> bool:
        """Whether it has so few of all rows that its readings hardly take time, and an M of all costs less than the
        readings that it spares.
        """
        return self.share >= LIGHT and objective.patience < SPARED

    def corrected(self, here: Evaluation, full: Direction, kind: Kind) -> Direction:
        """The full step by an information that was just evaluated, and what it leaves by the part's account.

        As it is where the part lacks something at either end of the step.
        """
        factor = full.factor
        if factor is None or not factor.kept.all():
            return full
        earlier = self.objective.evaluate(here.theta, Need(kinds=(kind,)))
        later = self.objective.evaluate(here.theta + full.step)
        if not (earlier.finite and later.finite):
            return full
        rest = self.share * (later.score - earlier.score + earlier.information[kind].matrix @ full.step)
        return full._replace(step=full.step + factor.solve(rest))


@dataclass(frozen=True)
class Carried:
    """All rows' evaluation carried along a step, and what became of the distance.

    Attributes
    ----------
    there : the evaluation; of its score nothing is known but that it is about 0.
    left : distance that the step alone leaves, in standard errors.
    unseen : what the part may have missed of that.
    drift : relative error of the standard errors that goes with it.
    rows : rows that were read.
    """

    there: Evaluation
    left: float
    unseen: float
    drift: float
    rows: int


def final_step(
    part: Part, objective: Objective, before: Evaluation, here: Evaluation, full: Direction
) -> Carried | None:
    """The full step by the observed information, corrected by the part; None where that does not say enough.

    A few rows with most of what M changes by may be missing from the part. The step before, from θ₀ over s₀ of d₀
    standard errors, tells: all rows and the part each say what a step by M would have left there,

        r₀ = M s₀ − (∇ℓ(θ₀) − ∇ℓ(θ)),

    and by as much as they differ, times (d/d₀)², the part may be wrong about what this step leaves. M differs along s₀
    by 2/d₀ times that, of itself, and so by d/d₀ of this along the step, and the standard errors by half as much.

    M_jj may rest on few of all rows, a share π of them, as of a rare level, and of these the part has few too. Of s₀
    they see √π d₀ alone. So for what the two differ by in the score of j, M_jj may differ by 1/√π times as much.

    Parameters
    ----------
    objective, here : of all rows, where M, the observed information, was evaluated.
    before : of all rows, a step earlier.
    full : M⁻¹∇ℓ, with the factor of M.
    """
    step, factor = full.step, full.factor
    added = objective.addition(here.theta + step)
    whole, kinds = here.information["observed"], _kinds(here)
    if added is None or here.dispersion != 1.0 or not math.isnan(here.pearson):
        return None  # the dispersion changes by a share of d, not of d²
    if factor is None or isinstance(whole, Root):
        return None
    there, back = objective.moved(here.theta, step, project=False), here.theta - before.theta
    earlier, later = (part.objective.evaluate(theta, Need(kinds=kinds)) for theta in (here.theta, there))
    first = part.objective.evaluate(before.theta)
    if not (earlier.finite and later.finite and first.finite):
        return None
    of_part = earlier.information["observed"].matrix

    def length(rest: np.ndarray) -> float:
        return math.sqrt(max(float(rest @ factor.solve(rest)), 0.0))

    differ = (
        whole.matrix @ back
        - (before.score - here.score)
        - part.share * (of_part @ back - (first.score - earlier.score))
    )
    missed, shares = length(differ), part.objective.row_shares
    ratio = full.decrement / math.sqrt(float(back @ whole.matrix @ back))
    alone = missed if shares is None else float((np.abs(differ) / np.sqrt(whole.matrix.diagonal() * shares)).max())
    rest = part.share * (later.score - earlier.score + of_part @ step)
    found = replace(
        here,
        theta=objective.moved(there, factor.solve(rest), project=False),
        # ℓ changes by what is left of it to the third order only, d³/√n.
        value=here.value + 0.5 * float(here.score @ step),
        score=here.score - whole.matrix @ step,
        added=added,
    )
    return Carried(
        _moved(found, part, earlier, later, kinds),
        length(rest),
        missed * ratio * ratio,
        max(missed, alone) * ratio * ratio / full.decrement,
        earlier.rows + later.rows + first.rows,
    )


def carried_on(here: Evaluation, before: np.ndarray, part: Part, tolerance: float) -> Evaluation:
    """The evaluation with its M carried from the point `before`, where it was evaluated, a last step of s earlier.

    Over s, of d standard errors, M changes by d/√n of itself, and M of the part by the same times 1 + √(p/m) at most.
    """
    kinds = _kinds(here)
    grams = [here.information[kind] for kind in kinds]
    if not grams or any(isinstance(one, Root) for one in grams):
        return here
    step = here.theta - before
    if step @ grams[0].matrix @ step <= tolerance**2 * here.rows * here.dispersion:
        return here
    earlier, later = (part.objective.evaluate(theta, Need(kinds=kinds)) for theta in (before, here.theta))
    return _moved(here, part, earlier, later, kinds) if earlier.finite and later.finite else here


def _kinds(here: Evaluation) -> tuple[Kind, ...]:
    return tuple([kind for kind in CARRIED if kind in here.information])


def _moved(here: Evaluation, part: Part, earlier: Evaluation, later: Evaluation, kinds: tuple[Kind, ...]) -> Evaluation:
    """The evaluation with its M changed as that of the part does."""
    moved: dict[str, Gram | Root] = {
        kind: Gram(
            here.information[kind].matrix
            + part.share * (later.information[kind].matrix - earlier.information[kind].matrix)
        )
        for kind in kinds
    }
    return replace(here, information=here.information | moved)
