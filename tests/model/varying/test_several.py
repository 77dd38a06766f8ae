"""The criterion of densities with several predictors against a dense Laplace approximation written here."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import gammaln

from raphson.data.varying.term import VaryingTerm
from raphson.model.likelihood.build import density_parts
from raphson.model.likelihood.family import LikelihoodFamily
from raphson.model.objective import Need
from raphson.model.varying.criterion import Criterion
from raphson.model.varying.several import SeveralDensity

RNG = np.random.default_rng(11)
N, GROUPS = 120, 8
X = np.column_stack([np.ones(N), RNG.normal(size=N)])
CODES, OTHER = RNG.integers(0, GROUPS, N).astype(np.int32), RNG.integers(0, 5, N).astype(np.int32)
EFFECT, SMALL = RNG.normal(0, 0.5, GROUPS)[CODES], RNG.normal(0, 0.3, GROUPS)[CODES]
LOCATION = 0.4 + 0.3 * X[:, 1] + EFFECT
WAVES = np.column_stack([np.sin(k * X[:, 1]) / k for k in (1, 2, 3)])
EVENT = (RNG.random(N) < 0.8).astype(float)


def normal(y, mu, log_sigma):
    return -0.5 * ((y - mu) / jnp.exp(log_sigma)) ** 2 - log_sigma - 0.5 * jnp.log(2 * jnp.pi)


def weibull(y, log_time, log_sigma, event):
    w = (jnp.log(y) - log_time) / jnp.exp(log_sigma)
    return event * (w - log_sigma - jnp.log(y)) - jnp.exp(w)


def beta(y, logit_mean, log_precision):
    mean, precision = jax.nn.sigmoid(logit_mean), jnp.exp(log_precision)
    a, b = mean * precision, (1 - mean) * precision
    return gammaln(a + b) - gammaln(a) - gammaln(b) + (a - 1) * jnp.log(y) + (b - 1) * jnp.log1p(-y)


def inflated(y, log_mean, logit_zero):
    p, mean = jax.nn.sigmoid(logit_zero), jnp.exp(log_mean)
    poisson = y * log_mean - mean - gammaln(y + 1)
    return jnp.where(y == 0, jnp.log(p + (1 - p) * jnp.exp(-mean)), jnp.log1p(-p) + poisson)


def ordered(y, location, first, second):
    below = jnp.where(y == 0, 0.0, jax.nn.sigmoid(jnp.where(y == 2, second, first) - location))
    above = jnp.where(y == 2, 1.0, jax.nn.sigmoid(jnp.where(y == 0, first, second) - location))
    return jnp.log(above - below)


SCALE = np.exp(-0.3 + SMALL)
TIMES = np.exp(LOCATION + SCALE * np.log(RNG.exponential(size=N)))
LEVELS = (LOCATION[:, None] + RNG.logistic(size=(N, 1)) > [-0.2, 1.0]).sum(axis=1).astype(float)
MEAN = 1 / (1 + np.exp(-LOCATION))
CASES = {
    "normal": (normal, 2, 0, LOCATION + SCALE * RNG.normal(size=N), {}),
    "weibull": (weibull, 2, 0, TIMES, {"event": EVENT}),
    "beta": (beta, 2, 0, RNG.beta(8 * MEAN, 8 * (1 - MEAN)), {}),
    "zero_inflated_poisson": (inflated, 2, 0, np.where(RNG.random(N) < 0.3, 0, RNG.poisson(np.exp(LOCATION))), {}),
    "ordered_logit": (ordered, 1, 2, LEVELS, {}),
}


def built(name, restricted, weight=None):
    mine, K, cuts, y, extra = CASES[name]
    named = mine if name == "normal" else name
    parts = density_parts(named, tuple(extra), K, cuts, bool(cuts), tuple(() for _ in extra))
    labels = tuple(f"eta{k}" for k in range(K + cuts))
    density = SeveralDensity(
        LikelihoodFamily(name=name, labels=labels, **parts), y.astype(float), weight, tuple(extra.values())
    )
    designs = [X, X[:, :1]] if K == 2 else [X[:, 1:], *[X[:, :1]] * cuts]
    names = tuple(map(str, range(GROUPS)))
    terms = [
        VaryingTerm("g", "g", X, CODES, names, ("1", "x")),
        VaryingTerm("o", "o", X[:, :1], OTHER, names[:5], ("1",)),
    ]
    theta = [0.5, 0.1, 0.3, 0.3]
    if K == 2:
        terms += [
            VaryingTerm("g", "g", X[:, :1], CODES, names, ("1",), predictor=1),
            VaryingTerm("s", "s", WAVES, None, (), ("a", "b", "c"), "common", True, predictor=1),
        ]
        theta += [0.3, 0.4]
    offset = np.zeros((K + cuts, N))
    offset[0] = 0.1 * WAVES[:, 0]
    beta_ = [0.3, -0.1, 0.9] if cuts else [0.4, 0.3, -0.2]
    model = Criterion(density, designs, terms, offset, restricted)
    if cuts and restricted:  # cut points have to be in order
        model.begin = np.zeros(model.layout.size)
        model.begin[model.layout.place_of_fixed] = beta_
    return model, np.array([*([] if restricted else beta_), *theta])


class Dense:
    """The same criterion from a function of one row, with dense matrices and autodiff."""

    def __init__(self, name, model, weight=None):
        self.mine, _, self.cuts, self.y, self.extra = CASES[name]
        self.model, self.weight = model, np.ones(N) if weight is None else weight
        self.fixed = [np.asarray(one) for one in model.designs]
        self.v = None

        def h(v, A, shift, penalised):
            eta = shift + jnp.einsum("anm,m->an", A, v)
            rows = self.mine(self.y, *eta, *self.extra.values())
            return jnp.sum(self.weight * rows) - 0.5 * jnp.sum(penalised * v * v)

        self.h, self.slope, self.bend = jax.jit(h), jax.jit(jax.grad(h)), jax.jit(jax.hessian(h))

    def columns(self, theta):
        """The matrix of v, and what is added, for each predictor."""
        model = self.model
        entries, shift = theta[model.p :], [np.array(one) for one in model.offset]
        start = 0
        blocks = []
        for term in model.terms:
            count = term.n_parameters
            own = entries[start : start + count]
            L = np.zeros((term.width, term.width))
            if term.structure == "common":
                L = own[0] * np.eye(term.width)
            else:
                L[np.tril_indices(term.width)] = own
            start += count
            blocks.append((term.predictor, term.matrix() @ np.kron(np.eye(term.n_levels), L), True))
        place = 0
        for a, one in enumerate(self.fixed):
            if model.p:
                shift[a] = shift[a] + one @ theta[place : place + one.shape[1]]
                place += one.shape[1]
            else:
                blocks.append((a, one, False))
        size = sum(one.shape[1] for _, one, _ in blocks)
        matrices = [np.zeros((N, size)) for _ in self.fixed]
        penalised = np.zeros(size)
        at = 0
        for a, one, random in blocks:
            matrices[a][:, at : at + one.shape[1]] = one
            penalised[at : at + one.shape[1]] = random
            at += one.shape[1]
        return np.stack(matrices), np.stack(shift), penalised

    def value(self, theta):
        A, shift, penalised = self.columns(theta)
        v = np.zeros(A.shape[2]) if self.v is None else self.v
        if self.v is None and self.cuts and not self.model.p:
            v[-2:] = -0.5, 1.0
        for _ in range(60):
            g, H = np.asarray(self.slope(v, A, shift, penalised)), -np.asarray(self.bend(v, A, shift, penalised))
            step = np.linalg.solve(H + (0.0 if np.linalg.eigvalsh(H)[0] > 0 else 20.0) * np.eye(len(v)), g)
            size, before = 1.0, self.h(v, A, shift, penalised)
            while not self.h(v + size * step, A, shift, penalised) > before - 1e-9:
                size /= 2
            v = v + size * step
            if np.abs(step).max() < 1e-11:
                break
        self.v = v
        H = -np.asarray(self.bend(v, A, shift, penalised))
        flat = 0.5 * np.sum(penalised == 0) * np.log(2 * np.pi)
        return float(self.h(v, A, shift, penalised)) - 0.5 * np.linalg.slogdet(H)[1] + flat


def check(name, restricted, weight=None):
    model, theta = built(name, restricted, weight)
    with jax.enable_x64(True):
        dense = Dense(name, model, weight)
        value = dense.value(theta)
        slope = []
        for j in range(len(theta)):
            step = np.zeros(len(theta))
            step[j] = 1e-5
            slope.append((dense.value(theta + step) - dense.value(theta - step)) / 2e-5)
    here = model.evaluate(theta, Need(kinds=("observed",)))
    assert abs(here.value - value) < 1e-9 * (1 + abs(value))
    np.testing.assert_allclose(here.score, slope, rtol=1e-6, atol=2e-6 * np.abs(slope).max())
    hessian = np.zeros((len(theta),) * 2)
    for j in range(len(theta)):
        step = np.zeros(len(theta))
        step[j] = 1e-5
        hessian[j] = (model.evaluate(theta + step).score - model.evaluate(theta - step).score) / 2e-5
    np.testing.assert_allclose(
        -here.information["observed"].matrix, hessian, rtol=1e-6, atol=2e-7 * np.abs(hessian).max()
    )


@pytest.mark.parametrize("restricted", [False, True])
@pytest.mark.parametrize("name", list(CASES))
def test_value_gradient_and_hessian(name, restricted):
    check(name, restricted)


def test_weights_are_copies_of_rows():
    check("normal", True, RNG.integers(0, 3, N).astype(float))
