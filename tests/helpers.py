"""Positive definite matrices to test with, and dense oracles to test against.

A = spd("grid_2d", np.complex128)               # a member of the gallery
values = stored(A)                              # its lower triangle, as SymmetricMatrix stores it
f = lambda v: jnp.linalg.slogdet(dense(A, v))[1]   # the oracle, differentiable in the stored values
"""

import functools
import itertools
import json
import os
import pathlib
from collections.abc import Callable, Iterable

import jax.numpy as jnp
import numpy as np
import scipy.io
import scipy.sparse as sp

REAL = (np.float32, np.float64)
COMPLEX = (np.complex64, np.complex128)
SCALARS = REAL + COMPLEX


def _find_shared() -> pathlib.Path | None:
    beside = pathlib.Path(__file__).parents[2] / "shared"
    folder = pathlib.Path(os.environ.get("ELIMAX_SHARED", beside))
    return folder if (folder / "matrices" / "index.json").exists() else None


SHARED = _find_shared()


# ---------------------------------------------------------------------------------------------
# The gallery


def _laplacian(
    n: int, edges: Iterable[tuple[int, int]], shift: float, dtype, seed: int = 0
) -> sp.csc_array:
    """Weighted graph Laplacian plus a shift, positive definite by diagonal dominance.

    Weights lie in [1/2, 3/2]; for a complex dtype every edge also has a random phase, so that no
    diagonal scaling makes the matrix real.
    """
    rng = np.random.default_rng(seed)
    i, j = np.array([(max(e), min(e)) for e in edges], np.int64).reshape(-1, 2).T
    weight = rng.uniform(0.5, 1.5, i.size)
    phase = np.exp(2j * np.pi * rng.uniform(size=i.size))
    entry = -weight * (phase if np.issubdtype(dtype, np.complexfloating) else 1)
    lower = sp.coo_array((entry, (i, j)), (n, n))
    degree = np.bincount(i, weight, n) + np.bincount(j, weight, n)
    return sp.csc_array(lower + lower.conj().T + sp.diags_array(degree + shift)).astype(dtype)


def _grid(*shape: int) -> tuple[int, list[tuple[int, int]]]:
    """The vertices and edges of a grid graph: neighbors along every axis."""
    index = np.arange(np.prod(shape)).reshape(shape)
    edges = []
    for axis in range(len(shape)):
        here = np.delete(index, -1, axis).ravel()
        there = np.delete(index, 0, axis).ravel()
        edges += zip(here.tolist(), there.tolist(), strict=True)
    return index.size, edges


def _band(n: int, width: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(n) for j in range(max(0, i - width), i)]


def _random(n: int, n_edges: int, seed: int) -> list[tuple[int, int]]:
    pairs = np.random.default_rng(seed).integers(n, size=(n_edges, 2))
    return [(int(i), int(j)) for i, j in np.unique(np.sort(pairs, 1), axis=0) if i != j]


def _scaled(A: sp.csc_array, scale: np.ndarray) -> sp.csc_array:
    D = sp.diags_array(scale)
    return sp.csc_array(D @ A @ D.conj())


def _small(dtype) -> sp.csc_array:
    """Fill-in and a tree of supernodes, as small as can be: for derivatives of high order."""
    return _laplacian(12, _random(12, 16, seed=0), 0.3, dtype)


def _one(dtype) -> sp.csc_array:
    return sp.csc_array(np.array([[2.5]], dtype))


def _diagonal(dtype) -> sp.csc_array:
    return _laplacian(9, [], 2.0, dtype) @ sp.diags_array(np.arange(1.0, 10.0)).astype(dtype)


def _tridiagonal(dtype) -> sp.csc_array:
    return _laplacian(40, _band(40, 1), 0.1, dtype)


def _banded(dtype) -> sp.csc_array:
    return _laplacian(60, _band(60, 5), 0.1, dtype)


def _arrow_first(dtype) -> sp.csc_array:
    """A dense first row: fills in completely without an ordering."""
    return _laplacian(30, [(0, j) for j in range(1, 30)], 0.5, dtype)


def _arrow_last(dtype) -> sp.csc_array:
    """A dense last row: no fill at all."""
    return _laplacian(30, [(29, j) for j in range(29)], 0.5, dtype)


def _grid_2d(dtype) -> sp.csc_array:
    return _laplacian(*_grid(9, 8), 0.05, dtype)


def _grid_3d(dtype) -> sp.csc_array:
    return _laplacian(*_grid(5, 4, 4), 0.05, dtype)


def _random_sparse(dtype) -> sp.csc_array:
    return _laplacian(70, _random(70, 140, seed=1), 0.2, dtype)


def _disconnected(dtype) -> sp.csc_array:
    """A grid, isolated vertices, a clique and a path, interleaved by a random permutation."""
    blocks = [
        _laplacian(*_grid(4, 4), 0.1, dtype),
        _laplacian(5, [], 1.0, dtype),
        _laplacian(6, itertools.combinations(range(6), 2), 0.1, dtype),
        _laplacian(8, _band(8, 1), 0.1, dtype),
    ]
    order = np.random.default_rng(2).permutation(35)
    return sp.csc_array(sp.csc_array(sp.block_diag(blocks))[order][:, order])


def _dense(dtype) -> sp.csc_array:
    return _laplacian(20, itertools.combinations(range(20), 2), 0.1, dtype)


def _wide(dtype) -> sp.csc_array:
    """Two cliques that share four vertices: supernodes of several blocks of columns, with rows below them."""
    cliques = [range(70), [*range(4), *range(70, 136)]]
    edges = {edge for clique in cliques for edge in itertools.combinations(clique, 2)}
    return _laplacian(136, sorted(edges), 0.1, dtype)


def _ill_conditioned(dtype) -> sp.csc_array:
    """Condition number 1e12: a Laplacian, singular but for its shift, turned by random phases."""
    A = _laplacian(*_grid(6, 6), 1e-11, np.float64)
    phase = np.exp(2j * np.pi * np.random.default_rng(3).uniform(size=36))
    return _scaled(A, phase if np.issubdtype(dtype, np.complexfloating) else np.ones(36))


def _badly_scaled(dtype) -> sp.csc_array:
    """Diagonal entries between 1e-8 and 1e8, in random order; well-conditioned but for that."""
    scale = np.random.default_rng(4).permutation(np.logspace(-4, 4, 42))
    return _scaled(_laplacian(*_grid(7, 6), 0.5, dtype), scale)


GALLERY: dict[str, Callable[..., sp.csc_array]] = {
    "one": _one,
    "small": _small,
    "diagonal": _diagonal,
    "tridiagonal": _tridiagonal,
    "banded": _banded,
    "arrow_first": _arrow_first,
    "arrow_last": _arrow_last,
    "grid_2d": _grid_2d,
    "grid_3d": _grid_3d,
    "random": _random_sparse,
    "disconnected": _disconnected,
    "dense": _dense,
    "wide": _wide,
    "ill_conditioned": _ill_conditioned,
    "badly_scaled": _badly_scaled,
}
# Those on which single precision has digits left.
WELL_CONDITIONED = [name for name in GALLERY if name not in ("ill_conditioned", "badly_scaled")]


@functools.cache
def spd(name: str, dtype=np.float64) -> sp.csc_array:
    """A symmetric (or Hermitian) positive definite matrix of the gallery, both triangles stored."""
    A = GALLERY[name](dtype).astype(dtype)
    A.sum_duplicates()
    return A


# ---------------------------------------------------------------------------------------------
# Real matrices


@functools.cache
def index() -> dict[str, dict]:
    """The records of shared/matrices/index.json by name; empty where the folder is absent."""
    if SHARED is None:
        return {}
    records = json.loads((SHARED / "matrices" / "index.json").read_text())
    return {record["name"]: record for record in records}


def spd_names(max_nnz: float = np.inf) -> list[str]:
    """The positive definite matrices of shared/matrices up to `max_nnz` entries, small first."""
    found = [r for r in index().values() if r["kind"] in ("spd", "complex-hpd")]
    return [r["name"] for r in sorted(found, key=lambda r: r["nnz"]) if r["nnz"] <= max_nnz]


@functools.cache
def read_matrix(name: str) -> sp.csc_array:
    """A matrix of shared/matrices, both triangles stored."""
    assert SHARED is not None
    A = sp.csc_array(scipy.io.mmread(SHARED / "matrices" / index()[name]["file"]))
    A.sum_duplicates()
    return A


# ---------------------------------------------------------------------------------------------
# Oracles


def lower_triangle(A: sp.csc_array) -> sp.csc_array:
    """The lower triangle in canonical form: what a SymmetricMatrix stores."""
    lower = sp.csc_array(sp.tril(A))
    lower.sum_duplicates()
    return lower


def stored(A: sp.csc_array) -> np.ndarray:
    """The stored values of a symmetric matrix, in the order of its pattern."""
    return lower_triangle(A).data


def coordinates(A: sp.csc_array) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the entries of a canonical CSC matrix, in storage order."""
    return A.indices, np.repeat(np.arange(A.shape[1]), np.diff(A.indptr))


def dense(A: sp.csc_array, values):
    """The dense Hermitian matrix with stored `values` on the lower triangle of A's pattern.

    Traceable and differentiable in `values`; imaginary parts of the diagonal are ignored.
    """
    rows, columns = coordinates(lower_triangle(A))
    values = jnp.asarray(values)
    below = rows != columns
    X = jnp.zeros(A.shape, values.dtype)
    X = X.at[rows, columns].add(jnp.where(below, values, values.real))
    return X.at[columns[below], rows[below]].add(values[below].conj())


def on_pattern(X, A: sp.csc_array):
    """The entries of a dense matrix on the lower triangle of A's pattern, in storage order."""
    return X[coordinates(lower_triangle(A))]


def tolerance(dtype, condition: float = 1.0) -> float:
    """A relative error that a backward stable computation stays well below."""
    return 100 * condition * float(np.finfo(dtype).eps)


def assert_close(actual, expected, rtol: float) -> None:
    """Relative error in the largest entry, of an array against an oracle."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    scale = np.max(np.abs(expected), initial=np.finfo(np.float32).tiny)
    error = np.max(np.abs(actual - expected), initial=0.0) / scale
    assert error <= rtol, f"relative error {error:.3g}, allowed {rtol:.3g}"
