"""Functions of the literature on vertex elimination, with an argument for each of them.

From their formulas, arranged as in the programs whose operation counts were published: scalar arguments, and
the intermediate results that these programs name. An equivalent program may have other counts. For example
x * x has one edge where x**2 has one, too, but r * (r + c) has one vertex less than r**2 + c * r, a constant
factor applied before or after a sum moves an edge, and a subexpression that is written twice is two vertices,
which XLA computes once and elimination counts twice.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import erf

# -- fluid dynamics

GAMMA = 1.4
"""The heat capacity ratio of air."""


def roe_flux(l0, l1, l2, r0, r1, r2):
    """One component of each conserved quantity on the left and on the right: the flux of Roe (1981), 1-D.

    Roe, Approximate Riemann solvers, J. Comput. Phys. 43 (1981).
    """
    jump = r0 - l0
    mean_density = jnp.sqrt(l0 * r0)
    weight = jnp.sqrt(l0) + jnp.sqrt(r0)

    def side(density, momentum, energy):
        velocity = momentum / density
        pressure = (GAMMA - 1.0) * (energy - 0.5 * momentum**2 / density)
        return velocity, pressure, (energy + pressure) / density

    vl, pl, hl = side(l0, l1, l2)
    vr, pr, hr = side(r0, r1, r2)
    dp, dv = pr - pl, vr - vl
    u = (jnp.sqrt(l0) * vl + jnp.sqrt(r0) * vr) / weight
    h = (jnp.sqrt(l0) * hl + jnp.sqrt(r0) * hr) / weight
    square = u**2
    sound2 = (GAMMA - 1.0) * (h - 0.5 * square)
    sound = jnp.sqrt(sound2)

    fast, middle, slow = jnp.abs(u + sound), jnp.abs(u), jnp.abs(u)
    inertia = sound * mean_density
    c0 = (jump - dp / sound2) * middle
    c1 = (dv + dp / inertia) * fast
    c2 = (dv - dp / inertia) * slow

    def euler(density, momentum, energy, pressure):
        v = momentum / density
        return momentum, pressure + momentum * v, v * (pressure + energy)

    left, right = euler(l0, l1, l2, pl), euler(r0, r1, r2, pr)
    total = [a + b for a, b in zip(left, right, strict=True)]
    c = 0.5 * mean_density / sound
    waves = (
        c0 + c * c1 - c * c2,
        c0 * u + c * c1 * (u + sound) - c * c2 * (u - sound),
        c0 * 0.5 * square + c * c1 * (h + u * sound) - c * c2 * (h - u * sound),
    )
    return tuple(0.5 * (a - b) for a, b in zip(total, waves, strict=True))


# -- robotics


def robot_arm(t1, t2, t3, t4, t5, t6):
    """Position and orientation of the hand of an arm with six joints, by its angles."""
    a1, a2, a3, d1, d4, d6 = 175.0, 890.0, 50.0, 575.0, 1035.0, 185.0
    c1, c2, c4, c5, c6 = (jnp.cos(t) for t in (t1, t2, t4, t5, t6))
    c23 = jnp.cos(t2) * jnp.cos(t3) - jnp.sin(t2) * jnp.sin(t3)
    s1, s2, s4, s5, s6 = (jnp.sin(t) for t in (t1, t2, t4, t5, t6))
    s23 = jnp.cos(t2) * jnp.sin(t3) + jnp.sin(t2) * jnp.cos(t3)

    ax = s5 * (c1 * c23 * c4 + s1 * s4) + c1 * s23 * c5
    ay = s5 * (s1 * c23 * c4 - c1 * s4) + s1 * s23 * c5
    az = s23 * c4 * s5 - c23 * c5
    nz = c6 * (c23 * s5 + s23 * c4 * c5) - s23 * s4 * s6
    oz = -s6 * (c23 * s5 + s23 * c4 * c5) - s23 * s4 * c6
    angles = (
        jnp.arctan2(ay, ax),
        jnp.arctan2(jnp.sqrt(1.0 - az**2), az),
        jnp.arctan2(oz, -nz),
    )
    x = d6 * (s5 * (c1 * c23 * c4 + s1 * s4) + c1 * s23 * c5)
    x = x + c1 * (a1 + a2 * c2 + a3 * c23 + d4 * s23)
    y = d6 * (s5 * (s1 * c23 * c4 + c1 * s4) + s1 * s23 * c5)
    y = y + s1 * (a1 + a2 * c2 + a3 * c23 + d4 * s23)
    z = a2 * s2 + d1 + a3 * s23 - d4 * c23 + d6 * (s23 * c4 * s5 - c23 * c5)
    return x, y, z, *angles


# -- systems of equations of MINPACK-2


def human_heart_dipole(x1, x2, x3, x4, x5, x6, x7, x8):
    """Averick, Carter, Moré, Xue, The MINPACK-2 test problem collection (1992); all data are one."""
    f1 = x1 + x2 - 1.0
    f2 = x3 + x4 - 1.0
    f3 = x5 * x1 + x6 * x2 - x7 * x3 - x8 * x4 - 1.0
    f4 = x7 * x1 + x8 * x2 + x5 * x3 + x6 * x4 - 1.0
    p, q = x5**2 - x7**2, x6**2 - x8**2
    f5 = x1 * p - 2 * x3 * x5 * x7 + x2 * q - 2 * x4 * x6 * x8 - 1.0
    f6 = x3 * p - 2 * x1 * x5 * x7 + x4 * q - 2 * x2 * x6 * x8 - 1.0

    def cubic(a, b):
        return a * (a**2 - 3 * b**2)

    p, r, q, s = cubic(x5, x7), cubic(x7, x5), cubic(x6, x8), cubic(x8, x6)
    f7 = x1 * p + x3 * r + x2 * q + x4 * s - 1.0
    f8 = x3 * p - x1 * r + x4 * q - x2 * s - 1.0
    return f1, f2, f3, f4, f5, f6, f7, f8


def propane_combustion(x1, x2, x3, x4, x5, x6, x7, x8, x9, x10, x11):
    """The full formulation of MINPACK-2, at a pressure of 40 and an air to fuel ratio of 10."""
    p, ratio = 40.0, 10.0
    root = jnp.sqrt(p / x11)
    return (
        x1 + x4 - 3.0,
        2 * x1 + x2 + x4 + x7 + x8 + x9 + 2 * x10 - ratio,
        2 * x2 + 2 * x5 + x6 + x7 - 8.0,
        2 * x3 + x9 - 4 * ratio,
        x2 * x4 - x1 * x5,
        jnp.sqrt(x2 * x4) - jnp.sqrt(x1) * root * x6,
        jnp.sqrt(x1 * x2) - jnp.sqrt(x4) * x7 * root,
        x1 - x4 * x8 * p / x11,
        x1 * jnp.sqrt(x3) - x4 * x9 * root,
        x1**2 - x4**2 * x10 * p / x11,
        x11 - x1 - x2 - x3 - x4 - x5 - x6 - x7 - x8 - x9 - x10,
    )


# -- small ones


def lighthouse(nu, gamma, omega, t):
    """Where the beam of a turning lighthouse meets the quay: Griewank and Walther (2008), section 2."""
    y = nu * jnp.tan(omega * t) / (gamma - jnp.tan(omega * t))
    return y, gamma * y


def hole(x, y, z, w):
    """A graph on which no vertex order is optimal for all of its parts."""
    a = y * z
    b, c = a + x, a + w
    d, e = jnp.cos(b), jnp.exp(c)
    return d - e, d / e, d * e


def kerr_sen(t, r, theta, phi):
    """The metric of a charged, turning black hole of unit mass, in Boyer-Lindquist coordinates."""
    a, b, mass = 0.5, 0.9, 1.0
    sine2 = jnp.sin(theta) ** 2
    sigma = r**2 + 2.0 * b * r + a**2 * jnp.cos(theta) ** 2
    k = r**2 + 2 * b * r - 2.0 * mass * r + a**2
    g_tt = -(1.0 - 2.0 * mass * r / sigma)
    g_pp = (sigma + a**2 * sine2 + 2.0 * mass * r * a**2 * sine2 / sigma) * sine2
    g_pt = -2.0 * mass * r * a / sine2
    return g_tt, sigma / k, sigma, g_pp, g_pt


def cloud_scheme(a1, a2, e1, e2, delta, gamma, bc, br, d1, d2, chi):
    """One step of a warm cloud's water by its parameters: condensate, rain and vapor (GMD 2019-140)."""
    qc, qr = 1.0, 1.0

    def convert():
        return a1 * qc**gamma

    def evaporate():
        return e1 * qr**d1 + e2 * qr**d2

    condensed = qc**0.33333
    return (
        condensed - convert() - a2 * qc**bc * qr**br,
        convert() + evaporate() + 0.0 - delta * qr**chi,
        -condensed - evaporate(),
    )


def black_scholes(spot, strike, rate, volatility, time):
    """The price of a call: Black and Scholes (1973), by way of the forward price."""

    def normal(z):
        return (1.0 + erf(z / jnp.sqrt(2.0))) / 2

    forward = jnp.exp(rate * time) * spot
    d1 = (jnp.log(forward / strike) + (volatility**2) / 2.0 * time) / (volatility * jnp.sqrt(time))
    d2 = d1 - volatility * jnp.sqrt(time)
    return jnp.exp(-rate * time) * (forward * normal(d1) - strike * normal(d2))


# -- layers of neural networks


def _layer_norm(x, gamma, beta, axis):
    mean = jnp.mean(x, axis=axis, keepdims=True)
    variance = jnp.sum((x - mean) ** 2, axis=axis, keepdims=True) / x.shape[axis]
    return (x - mean) / jnp.sqrt(variance + 1e-6) * gamma + beta


def perceptron(x, y, W1, b1, W2, b2, gamma, beta):
    """The squared loss of two layers with a normalization between them."""
    hidden = _layer_norm(jnp.tanh(W1 @ x + b1), gamma, beta, 0)
    return 0.5 * jnp.sum((jnp.tanh(W2 @ hidden + b2) - y) ** 2)


def encoder_block(x, WQ, WK, WV, W, b, gamma, beta):
    """Attention, a normalization, and a layer with the SiLU of a network for sequences."""
    q, k, v = WQ @ x, WK @ x, WV @ x
    attention = jax.nn.softmax(q.T @ k, axis=1)
    z = W @ _layer_norm(x + (v @ attention), gamma, beta, 1) + b
    return z * (1.0 / (1.0 + jnp.exp(-z)))


@dataclass(frozen=True)
class Case:
    """A function and shapes of its arguments; where known, multiplications forward, in reverse and by
    Markowitz's rule, and the fewest that are known."""

    function: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]
    muls: tuple[int, int, int] | None = None
    best: int | None = None
    raised: tuple[int, ...] = ()  # arguments that are larger than the others, by two

    @property
    def argnums(self) -> tuple[int, ...]:
        return tuple(range(len(self.shapes)))

    def arguments(self, seed: int = 0, dtype: Any = float) -> tuple[Array, ...]:
        """Numbers for which all cases are well defined and smooth."""
        keys = jax.random.split(jax.random.key(seed), len(self.shapes))
        return tuple(
            jax.random.uniform(key, shape, dtype, 0.3, 0.9) + 2 * (k in self.raised)
            for k, (key, shape) in enumerate(zip(keys, self.shapes, strict=True))
        )


def _scalars(n: int) -> tuple[tuple[int, ...], ...]:
    return ((),) * n


_N, _D = 4, 5
CASES = {
    "RoeFlux_1d": Case(roe_flux, _scalars(6), (620, 364, 344), 295, raised=(2, 5)),
    "RobotArm_6DOF": Case(robot_arm, _scalars(6), (397, 301, 221), 221),
    "HumanHeartDipole": Case(human_heart_dipole, _scalars(8), (240, 172, 148), 148),
    "PropaneCombustion": Case(propane_combustion, _scalars(11), (151, 90, 88), 88),
    "Lighthouse": Case(lighthouse, _scalars(4), (18, 22, 20), 14),
    "Hole": Case(hole, _scalars(4), (28, 24, 26), 22),
    "KerrSen": Case(kerr_sen, _scalars(4), (43, 63, 38), 38),
    "CloudScheme": Case(cloud_scheme, _scalars(11), (50, 35, 35), 35),
    "BlackScholes": Case(black_scholes, _scalars(5)),
    "BlackScholes, gradient": Case(
        jax.grad(black_scholes, argnums=range(5)), _scalars(5), (478, 411, 327), 287
    ),
    "Perceptron": Case(perceptron, ((4,), (3,), (8, 4), (8,), (3, 8), (3,), (8,), (8,))),
    "Encoder": Case(
        encoder_block,
        ((_D, _N), (_D, _D), (_D, _D), (_D, _D), (_D, _D), (_D, 1), (1, _N), (1, _N)),
    ),
}
