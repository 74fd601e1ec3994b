"""Functions around single primitives: elements, moves, indices, sums and products, windows.

The gradient of a function that drops some of what it computes holds zeros that no value tells: there the
pattern of its Jacobian holds entries that are always zero.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jax.experimental import sparse

from .oracle import Case, N

ORDER = np.random.default_rng(0).permutation(N)
WEIGHTS = np.diag(np.arange(12.0)) + np.eye(12, k=1)
KERNEL = np.random.default_rng(3).normal(size=(4, 2, 2, 2))
ENTRIES = sparse.BCOO.fromdense(WEIGHTS)


def cube(x):
    return x.reshape(2, 3, 2)


def within(x):
    """Between 0.2 and 0.8, where every function is smooth."""
    return 0.5 + 0.3 * jnp.sin(x)


UNARY = [
    *("abs", "acos", "asin", "asinh", "atan", "atanh", "bessel_i0e", "bessel_i1e", "cbrt", "cos"),
    *(
        "cosh",
        "digamma",
        "erf",
        "erf_inv",
        "erfc",
        "exp",
        "exp2",
        "expm1",
        "lgamma",
        "log",
        "log1p",
    ),
    *("logistic", "neg", "reciprocal", "rsqrt", "sin", "sinh", "sqrt", "square", "tan", "tanh"),
]
# The derivatives of their sums have the patterns of the functions themselves.
FIRST = [getattr(lax, name) for name in UNARY]
SECOND = [jax.grad(lambda y, f=f: jnp.sum(f(y))) for f in FIRST]
ANALYTIC = [lax.cos, lax.exp, lax.sinh, lax.neg, lax.square, lax.tanh, lax.reciprocal, lax.log]


def one_by_one(functions):
    """The results of all of them, one after the other."""
    return lambda x: jnp.concatenate([f(within(x[:5])) for f in functions])


ELEMENTS = {
    "one operand": Case(one_by_one(FIRST), gradient=None),
    "one operand, derivatives": Case(one_by_one(SECOND), False, None),
    "analytic": Case(one_by_one(ANALYTIC), gradient=None, holomorphic=True),
    "acosh": Case(lambda x: lax.acosh(1 + within(x))),
    "integer_pow": Case(lambda x: x**3, holomorphic=True),
    "pow": Case(lambda x: within(x) ** within(x[::-1])),
    "atan2": Case(lambda x: lax.atan2(x, x[::-1])),
    "max, min": Case(lambda x: lax.max(x, x[::-1]) * lax.min(x, x[::-1])),
    "clamp": Case(lambda x: lax.clamp(-0.5, x, 0.5) * x),
    "rem": Case(lambda x: lax.rem(x[1:], 1 + within(x[:-1])), False, False),
    "div": Case(lambda x: x / (2 + jnp.sin(x[::-1])), holomorphic=True),
    "igamma": Case(lambda x: lax.igamma(within(x), within(x[::-1])), gradient=None),
    "igammac": Case(lambda x: lax.igammac(1.5, within(x))),
    "regularized_incomplete_beta": Case(lambda x: lax.betainc(1.5, 2.0, within(x))),
    "zeta": Case(lambda x: x * lax.zeta(2.0, lax.stop_gradient(within(x)))),
    "polygamma": Case(lambda x: lax.polygamma(1.0, within(x))),
    "random_gamma": Case(lambda x: jax.random.gamma(jax.random.key(0), within(x)), gradient=None),
    "select_n": Case(lambda x: lax.select_n(x > 0, x**2, x[::-1]), False, False),
    "where, known": Case(
        lambda x: jnp.where(jnp.arange(N) % 3 == 0, x[::-1], x**2), gradient=False
    ),
    "mask": Case(lambda x: x**2 + (jnp.arange(N) % 3 == 0) * x[::-1] ** 2, holomorphic=True),
    "step functions": Case(
        lambda x: x * (jnp.floor(x) + jnp.ceil(x) + jnp.round(x) + jnp.sign(x)), gradient=True
    ),
    "integers": Case(lambda x: x.astype(int).astype(float)),
    "logic": Case(lambda x: x * ((x > 0) & ~(x < 1) | (x.astype(int) ^ 3 > 1)), gradient=True),
    "nothing": Case(lambda x: jnp.ones(3)),
    "stop_gradient": Case(lambda x: lax.stop_gradient(x[::-1]) * x),
    "complex parts": Case(
        lambda x: jnp.real(lax.complex(x, x[::-1]) ** 2) + jnp.imag(jnp.conj(x + 0j) * 1j)
    ),
    "convert_element_type": Case(lambda x: x.astype(jnp.float32).astype(jnp.float64) ** 2),
    "reduce_precision": Case(lambda x: lax.reduce_precision(x, 8, 20) ** 2),
    "optimization_barrier": Case(lambda x: lax.optimization_barrier((x, x[::-1]))[1] ** 2),
    "device_put": Case(lambda x: jax.device_put(x) ** 2),
    "name": Case(lambda x: checkpoint_name(x, "x") ** 2),
    "random constants": Case(lambda x: x * jax.random.uniform(jax.random.key(0), (N,))),
}
MOVES = {
    "broadcasting": Case(
        lambda x: (x.reshape(4, 3) / jnp.sum(jnp.exp(x.reshape(4, 3)), 1, keepdims=True)).ravel()
    ),
    "scalar": Case(lambda x: x * x[3], holomorphic=True),
    "reshape, transpose": Case(lambda x: cube(x).transpose(2, 0, 1).ravel() * x, holomorphic=True),
    "reshape, dimensions": Case(lambda x: lax.reshape(x.reshape(4, 3), (N,), (1, 0)) * x),
    "rev, squeeze": Case(lambda x: jnp.squeeze(x[None, ::-1], 0) ** 2),
    "slice": Case(lambda x: x[1:11:3] ** 2),
    "roll": Case(lambda x: jnp.roll(x, 1) * x, holomorphic=True),
    "pad": Case(lambda x: jnp.pad(x, (1, 2))[:12] + x**2, holomorphic=True),
    "pad, interior": Case(lambda x: lax.pad(x[:5], 0.0, [(-1, 2, 1)]) ** 2),
    "pad by a value": Case(lambda x: lax.pad(x[:3], x[5], [(1, 1, 1)]) ** 2, gradient=False),
    "concatenate": Case(lambda x: jnp.concatenate([x[6:], jnp.ones(2), x[:3]]) ** 2),
    "concatenate, axis": Case(lambda x: jnp.concatenate([cube(x), cube(x) ** 2], 1).ravel()),
    "stack": Case(lambda x: jnp.stack([x, jnp.ones(N), x[::-1]], 1).ravel() ** 2),
    "unstack": Case(
        lambda x: jnp.concatenate([a.ravel() ** 2 for a in jnp.unstack(cube(x), axis=1)[::2]])
    ),
    "split": Case(lambda x: jnp.split(cube(x), 3, 1)[1].ravel() ** 2),
    "broadcast_in_dim": Case(lambda x: jnp.broadcast_to(x[:3], (2, 3)).ravel() ** 2),
    "tile, repeat": Case(lambda x: jnp.tile(x[:2], 3) * jnp.repeat(x[3:5], 3)),
    "lax.tile": Case(lambda x: lax.tile(x.reshape(3, 4), (2, 1)).ravel() ** 2),
    "copy": Case(lambda x: jnp.copy(x) ** 2),
    "diag": Case(lambda x: jnp.diag(jnp.diag(x[:4]) @ jnp.ones((4, 4)))),
    "tril": Case(lambda x: jnp.tril(x[:9].reshape(3, 3)).ravel() ** 2),
    "vmap": Case(lambda x: jax.vmap(lambda r: r * r[0])(x.reshape(4, 3)).ravel()),
}
INDICES = {
    "gather": Case(lambda x: x[ORDER] ** 2, holomorphic=True),
    "gather, rows": Case(lambda x: x.reshape(4, 3)[ORDER[:5] % 4].ravel() ** 2),
    "gather, two indices": Case(lambda x: x.reshape(4, 3)[ORDER[:5] % 4, ORDER[:5] % 3] ** 2),
    "gather, clipped": Case(lambda x: x.at[jnp.arange(12) + 3].get(mode="clip") ** 2),
    "gather, filled": Case(
        lambda x: x.at[jnp.arange(12) + 3].get(mode="fill", fill_value=0.0) ** 2
    ),
    "indices by arithmetic": Case(lambda x: x[(jnp.arange(N) * 5 + 2) // 2 % N] ** 2),
    "indices by a key": Case(lambda x: x[jax.random.permutation(jax.random.key(1), N)] ** 2),
    "take_along_axis": Case(
        lambda x: jnp.take_along_axis(x.reshape(4, 3), ORDER.reshape(4, 3) % 4, 0).ravel() ** 2
    ),
    "gather by values": Case(lambda x: x[jnp.argsort(x)] * x, False, False, True),
    "rows by values": Case(
        lambda x: x.reshape(4, 3)[jnp.argsort(x[:4])].ravel() ** 2, False, False
    ),
    "one index by values": Case(
        lambda x: x.reshape(4, 3)[jnp.argsort(x[:4]), ORDER[:4] % 3] ** 2, False, False
    ),
    "batch by values": Case(
        lambda x: jax.vmap(lambda r: r[jnp.argmax(r)])(x.reshape(4, 3)), False, False
    ),
    "scatter-add": Case(lambda x: jnp.zeros_like(x[:7]).at[ORDER % 7].add(x**2), holomorphic=True),
    "scatter-add, rows": Case(
        lambda x: jnp.zeros((5, 3)).at[ORDER[:4] % 5].add(x.reshape(4, 3) ** 2).ravel()
    ),
    "scatter-add, clipped": Case(
        lambda x: jnp.zeros(5).at[jnp.arange(12) - 4].add(x**2, mode="clip")
    ),
    "scatter": Case(lambda x: (x**2).at[3:6].set(x[:3]), gradient=False, holomorphic=True),
    "scatter by indices": Case(lambda x: (x**2).at[ORDER[:4]].set(x[:4] ** 3), gradient=False),
    "scatter, dropped": Case(
        lambda x: (x**2).at[jnp.arange(4) + 10].set(x[:4] ** 3, mode="drop"),
        gradient=False,
    ),
    "scatter-sub": Case(lambda x: (x**2).at[ORDER[:4]].subtract(x[:4] ** 3)),
    "scatter-mul": Case(lambda x: (x**2).at[ORDER[:4]].multiply(x[:4] ** 3, unique_indices=True)),
    "scatter-max": Case(lambda x: (x**2).at[ORDER[:4]].max(x[:4] ** 3), False, None),
    "scatter-min": Case(lambda x: (x**2).at[ORDER[:4]].min(x[:4] ** 3), False, None),
    "scatter, batches": Case(
        lambda x: jax.vmap(lambda r, i: r.at[i].set(r[0] ** 2))(
            x.reshape(4, 3), ORDER[:4] % 3
        ).ravel()
    ),
    "segment_sum": Case(lambda x: jax.ops.segment_sum(x**2, ORDER // 3, 4)),
    "segment_max": Case(lambda x: jax.ops.segment_max(x**2, ORDER // 3, 4), False, None),
    "scatter by values": Case(
        lambda x: (x**2).at[jnp.argsort(x)[:4]].set(x[:4] ** 3), False, False
    ),
    "scatter-add by values": Case(
        lambda x: jnp.zeros((4, 3)).at[jnp.argsort(x[:4])].add(x.reshape(4, 3) ** 2).ravel(),
        False,
        False,
    ),
    "dynamic_slice": Case(
        lambda x: lax.dynamic_slice(cube(x), (0, 1, 0), (2, 2, 1)).ravel() ** 2, holomorphic=True
    ),
    "dynamic_slice, clamped": Case(lambda x: lax.dynamic_slice(x, (10,), (4,)) ** 2),
    "dynamic_update_slice": Case(
        lambda x: lax.dynamic_update_slice(x**2, x[:3], (5,)), gradient=False
    ),
    "dynamic_slice by values": Case(
        lambda x: lax.dynamic_slice(cube(x), (0, jnp.argmax(x[:2]), 0), (2, 2, 2)).ravel(),
        False,
        False,
    ),
    "dynamic_update_slice by values": Case(
        lambda x: lax.dynamic_update_slice(x**2, x[:3] ** 2, (jnp.argmax(x[:9]),)), False, False
    ),
    "rows updated by values": Case(
        lambda x: lax.dynamic_update_slice(
            x.reshape(4, 3) ** 2, x[:2].reshape(1, 2), (jnp.argmax(x[:4]), 1)
        ).ravel(),
        False,
        False,
    ),
    "sort": Case(lambda x: jnp.sort(cube(x), 1).ravel(), False, False),
    "sort, two operands": Case(
        lambda x: lax.sort((x.reshape(3, 4), x.reshape(3, 4) ** 2), num_keys=1)[1].ravel(),
        False,
        False,
    ),
    "top_k": Case(lambda x: lax.top_k(x.reshape(3, 4), 2)[0].ravel(), False, False),
    "approx_top_k": Case(lambda x: lax.approx_max_k(x.reshape(3, 4), 2)[0].ravel(), False, None),
}
SUMS = {
    "reduce_sum": Case(lambda x: jnp.sum(cube(x) ** 2, (0, 2)), holomorphic=True),
    "reduce_max": Case(lambda x: jnp.max(cube(x), 1).ravel(), False, False),
    "reduce_min": Case(lambda x: jnp.min(cube(x), (0, 1)).ravel(), False, False),
    "reduce_prod": Case(lambda x: jnp.prod(cube(x), 1).ravel(), holomorphic=True),
    "reduce": Case(lambda x: lax.reduce(x.reshape(4, 3), 1.0, lambda a, b: a * b, (0,))),
    "argmax": Case(lambda x: x * (jnp.argmax(x) + jnp.argmin(x))),
    "mean and variance": Case(lambda x: jnp.var(cube(x), 1).ravel()),
    "logsumexp": Case(lambda x: jax.nn.logsumexp(cube(x), 1).ravel()),
    "softmax": Case(lambda x: jax.nn.softmax(x.reshape(4, 3), 1).ravel()),
    "norm": Case(lambda x: jnp.linalg.norm(x.reshape(4, 3), axis=1)),
    "cumsum": Case(lambda x: jnp.cumsum(cube(x) ** 2, 1).ravel(), holomorphic=True),
    "cumsum, reversed": Case(lambda x: lax.cumsum(x**2, reverse=True)),
    "cumprod": Case(lambda x: lax.cumprod(x.reshape(3, 4), 1).ravel()),
    "cummax": Case(lambda x: lax.cummax(x.reshape(3, 4), 1).ravel(), False, False),
    "cummin": Case(lambda x: lax.cummin(x.reshape(3, 4), 1).ravel(), False, False),
    "cumlogsumexp": Case(lambda x: lax.cumlogsumexp(x.reshape(3, 4), 1).ravel()),
    "associative_scan": Case(lambda x: lax.associative_scan(jnp.multiply, x)),
    "dot, constant": Case(lambda x: WEIGHTS @ jnp.sin(x), gradient=False, holomorphic=True),
    "dot, from the right": Case(
        lambda x: (x.reshape(4, 3) @ np.triu(np.ones((3, 3)))).ravel() ** 2
    ),
    "dot, both": Case(lambda x: (x.reshape(3, 4) @ x.reshape(4, 3)).ravel(), holomorphic=True),
    "dot, batched": Case(lambda x: jnp.einsum("bij,bkj->bik", cube(x), cube(x)).ravel()),
    "einsum": Case(lambda x: jnp.einsum("ijk,kl->jil", cube(x), jnp.ones((2, 2))).ravel() ** 2),
    "outer": Case(lambda x: jnp.outer(x[:3], x[4:8]).ravel()),
    "kron": Case(lambda x: jnp.kron(x[:2], x[3:6])),
    "ragged_dot_general": Case(
        lambda x: lax.ragged_dot(
            x[:6].reshape(3, 2), x[4:].reshape(2, 2, 2), jnp.array([1, 2])
        ).ravel(),
        False,
        None,
    ),
    "bcoo_dot_general": Case(lambda x: ENTRIES @ jnp.sin(x), gradient=False),
    "bcoo_dot_general, columns": Case(
        lambda x: (ENTRIES.T @ jnp.sin(x).reshape(N, 1).repeat(2, 1)).ravel()
    ),
    "bcoo_dot_general by entries": Case(
        lambda x: sparse.BCOO((jnp.sin(x[:9]), ENTRIES.indices[:9]), shape=(N, N)) @ x,
        gradient=False,
    ),
    "fft": Case(lambda x: jnp.real(jnp.fft.fft(x.reshape(3, 4) ** 2)).ravel(), False, False),
    "rfft": Case(
        lambda x: jnp.abs(jnp.fft.rfft(x.reshape(3, 4) ** 2, axis=1)).ravel(), True, False
    ),
    "irfft": Case(lambda x: jnp.fft.irfft(x.reshape(3, 4)).ravel(), False, False),
    "ifft": Case(lambda x: jnp.abs(jnp.fft.ifft2(cube(x), axes=(1, 2))).ravel(), False, False),
}
NUMBERS = ("NCHW", "OIHW", "NCHW")
IMAGE = np.random.default_rng(4).normal(size=(2, 4, 3, 3))
WINDOWS = {
    "convolve": Case(
        lambda x: jnp.convolve(x**2, jnp.array([1.0, -2.0, 1.0]), mode="same"), holomorphic=True
    ),
    "convolve by zeros": Case(lambda x: jnp.convolve(x**2, jnp.array([1.0, 0.0, 1.0]))),
    "convolution, features": Case(
        lambda x: lax.conv(
            x.reshape(1, 2, 2, 3) ** 2, jnp.ones((3, 2, 2, 2)), (1, 1), "SAME"
        ).ravel()
    ),
    "convolution, strided and dilated": Case(
        lambda x: lax.conv_general_dilated(
            x.reshape(1, 1, 12) ** 2, jnp.ones((2, 1, 3)), (2,), [(1, 2)], (2,), (2,)
        ).ravel(),
        gradient=False,
    ),
    "convolution, groups": Case(
        lambda x: lax.conv_general_dilated(
            x.reshape(1, 4, 3) ** 2,
            KERNEL[:, :, 0] + 0 * x[0],
            (1,),
            "SAME",
            feature_group_count=2,
        ).ravel(),
        False,
        False,
    ),
    "convolution, groups of the batch": Case(
        lambda x: lax.conv_general_dilated(
            x.reshape(4, 1, 3) ** 2, jnp.ones((2, 1, 2)), (1,), "VALID", batch_group_count=2
        ).ravel()
    ),
    "convolution, last features": Case(
        lambda x: lax.conv_general_dilated(
            x.reshape(1, 2, 3, 2) ** 2,
            KERNEL[:2, :2],
            (1, 1),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        ).ravel()
    ),
    "convolution by the kernel": Case(
        lambda x: lax.conv_general_dilated(
            IMAGE, x.reshape(3, 4, 1, 1) ** 2, (1, 2), "SAME", dimension_numbers=NUMBERS
        ).ravel()
    ),
    "convolution by the kernel of groups": Case(
        lambda x: lax.conv_general_dilated(
            IMAGE, x.reshape(6, 2, 1, 1), (2, 2), "VALID", feature_group_count=2
        ).ravel()
    ),
    "convolution by both": Case(
        lambda x: lax.conv(x[:9].reshape(1, 1, 9), x[9:].reshape(1, 1, 3), (1,), "VALID").ravel()
    ),
    "reduce_window_sum": Case(
        lambda x: lax.reduce_window(
            x.reshape(3, 4) ** 2, 0.0, lax.add, (2, 3), (1, 2), ((1, 0), (0, 2)), None, (1, 2)
        ).ravel(),
        gradient=False,
    ),
    "reduce_window_sum, dilated": Case(
        lambda x: lax.reduce_window(x[:5] ** 2, 0.0, lax.add, (3,), (1,), ((2, 1),), (2,))
    ),
    "reduce_window_max": Case(
        lambda x: lax.reduce_window(
            x.reshape(3, 4), -jnp.inf, lax.max, (2, 2), (1, 2), "SAME"
        ).ravel(),
        False,
        False,
    ),
    "reduce_window_min": Case(
        lambda x: lax.reduce_window(x, jnp.inf, lax.min, (3,), (2,), "VALID"), False, False
    ),
    "reduce_window": Case(
        lambda x: lax.reduce_window(x, 0.0, lambda a, b: a + 2 * b, (3,), (1,), "VALID"),
        False,
        None,
    ),
}
