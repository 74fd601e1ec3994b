"""Structures, matrices and factors outlive their process: pickles, copies, archives, pytrees."""

import copy
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import elimax as ex
from elimax._structure.index_map import IndexMap
from elimax._structure.pattern import Pattern
from elimax._structure.symbolic import Embedding, Symbolic

from ..helpers import assert_close, spd
from .fresh import run_fresh


def _factor(dtype=np.float64) -> ex.Cholesky:
    return ex.cholesky(ex.SymmetricMatrix.from_scipy(spd("grid_2d", dtype)))


def _objects() -> dict:
    F = _factor(np.complex128)
    return {
        "pattern": F.matrix.pattern,
        "map": F.matrix.pattern.diagonal(),
        "symbolic": F.symbolic,
        "embedding": F._embedding,
        "symmetric": F.matrix,
        "not hermitian": ex.SymmetricMatrix(F.matrix.pattern, F.matrix.values, hermitian=False),
        "general": F.L,
        "factor": F,
        "real factor": _factor(np.float32),
    }


OBJECTS = _objects()


def _same(x, y) -> bool:
    """Equal structure, equal numbers."""
    leaves, treedef = jax.tree.flatten(x)
    other_leaves, other_treedef = jax.tree.flatten(y)
    if treedef != other_treedef:
        return False
    arrays = (np.array_equal(a, b) if hasattr(a, "dtype") else a == b
              for a, b in zip(leaves, other_leaves, strict=True))  # fmt: skip
    return type(x) is type(y) and all(arrays)


@pytest.mark.parametrize("name", OBJECTS)
def test_in_this_process(name):
    x = OBJECTS[name]
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert _same(pickle.loads(pickle.dumps(x, protocol)), x)
    for again in (
        copy.copy(x),
        copy.deepcopy(x),
        jax.tree.map(lambda leaf: leaf, x),
        jax.tree.unflatten(*reversed(jax.tree.flatten(x))),
    ):
        assert _same(again, x)
    assert not _same(x, OBJECTS["pattern" if name != "pattern" else "map"])


def test_structures_are_shared_by_copies_and_within_a_pickle():
    F = OBJECTS["factor"]
    assert copy.deepcopy(F).symbolic is F.symbolic
    again = pickle.loads(pickle.dumps(F))
    assert again.symbolic is not F.symbolic and again.symbolic.pattern is again.matrix.pattern


@pytest.mark.parametrize("name", ["symmetric", "general", "factor"])
def test_device_put(name):
    x = OBJECTS[name]
    moved = jax.device_put(x, jax.devices("cpu")[-1])
    assert _same(moved, x) and all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(moved))
    assert _same(jax.device_get(moved), x)


def test_numpy_savez(tmp_path):
    """Values go with names, the structure with its arrays; nothing is pickled."""
    A = OBJECTS["symmetric"]
    P = A.pattern
    np.savez(tmp_path / "A", values=A.values, pointers=P.column_pointers, rows=P.rows, n=P.shape[0])
    with np.load(tmp_path / "A.npz") as f:
        n = int(f["n"])
        again = ex.SymmetricMatrix(Pattern((n, n), f["pointers"], f["rows"], True), f["values"])
    assert _same(again, A)


def test_a_factor_used_in_another_process(tmp_path):
    b = jnp.arange(72.0)
    objects = {name: x for name, x in OBJECTS.items() if name != "real factor"}
    (tmp_path / "objects").write_bytes(pickle.dumps((objects, b)))
    run_fresh(
        """
objects, b = read("objects")
F, A = objects["factor"], objects["symmetric"]
assert F.symbolic == objects["symbolic"] == ex.analyze(A)
assert hash(F.symbolic) == hash(objects["symbolic"])
assert F.matrix.pattern == objects["pattern"] == ex.Pattern.from_scipy(A.to_scipy(), symmetric=True)
assert {objects["embedding"]: 1}[F._embedding] == 1
write("results", (F.solve(b), ex.cholesky(A).solve(b), jax.jit(lambda F: F.logdet())(F), objects))
""",
        tmp_path,
    )
    x, y, logdet, again = pickle.loads((tmp_path / "results").read_bytes())
    F = OBJECTS["factor"]
    assert np.array_equal(x, F.solve(b)) and np.array_equal(y, F.solve(b))
    assert_close(logdet, F.logdet(), 1e-15)
    assert all(_same(again[name], objects[name]) for name in objects)


# ---------------------------------------------------------------------------------------------
# Damage


@pytest.mark.parametrize(
    "cls, change",
    [
        (Pattern, {"rows": np.arange(3)}),
        (Pattern, {"rows": np.zeros(199, np.int32)}),
        (Pattern, {"column_pointers": np.full(73, 199)}),
        (Pattern, {"symmetric": False}),
        (Pattern, {"shape": (73, 73)}),
        (IndexMap, {"indices": np.arange(72)}),
        (IndexMap, {"input_size": 3}),
        (Symbolic, {"sequence": np.zeros(72, np.int32)}),
        (Symbolic, {"sequence": np.arange(72, dtype=np.int32)}),
        (Symbolic, {"pattern": Pattern.eye(72, symmetric=True)}),
        (Embedding, {"pattern": Pattern.eye(72, symmetric=True)}),
        (Embedding, {"symbolic": 3}),
    ],
)
def test_a_changed_pickle_is_refused(cls, change):
    x = next(x for x in OBJECTS.values() if type(x) is cls)
    rebuild, (arguments, digest) = x.__reduce__()
    assert rebuild(arguments, digest) == x
    with pytest.raises(ValueError, match=f"a stored {cls.__name__} is damaged"):
        rebuild(arguments | change, digest)


def test_a_pickle_of_another_layout_says_so(monkeypatch):
    """As if a later version of Elimax merged supernodes differently: the factor's values would not fit."""
    stored = pickle.dumps(OBJECTS["factor"])
    monkeypatch.setattr(
        "elimax._structure.symbolic.RELAXATION", (1e4, 1.0, 0.25, 0.016, 128.0, 0.9)
    )
    with pytest.raises(
        ValueError, match="a stored Symbolic is damaged, or stems from another version"
    ):
        pickle.loads(stored)


def test_a_truncated_pickle_is_refused():
    stored = pickle.dumps(OBJECTS["factor"])
    with pytest.raises((pickle.UnpicklingError, EOFError)):
        pickle.loads(stored[: len(stored) // 2])


# ---------------------------------------------------------------------------------------------
# Values and structures that do not belong together


def _shortened(x):
    return jax.tree.map(lambda leaf: leaf[:3] if leaf.ndim else leaf, x)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize(
    "use",
    [
        lambda F, A, b: A @ b,
        lambda F, A, b: A.to_general().todense(),
        lambda F, A, b: A.diagonal(),
        lambda F, A, b: A.to_general() @ A,
        lambda F, A, b: ex.cholesky(A).solve(b),
        lambda F, A, b: ex.cholesky(A).logdet(),
        lambda F, A, b: F.solve(b),
        lambda F, A, b: F.half_solve(b),
        lambda F, A, b: F.logdet(),
        lambda F, A, b: F.selected_inverse(),
        lambda F, A, b: F.inverse_diagonal(),
        lambda F, A, b: F.L,
        lambda F, A, b: ex.triangular_solve(A.to_general(), b),
    ],
)
def test_leaves_of_another_structure_are_refused(use, jit):
    """Leaves can be exchanged in a pytree; no kernel may read beyond them."""
    F = OBJECTS["factor"]
    use = jax.jit(use) if jit else use
    use(F, F.matrix, jnp.ones(72))
    with pytest.raises(ValueError, match="do not belong together"):
        use(_shortened(F), _shortened(F.matrix), jnp.ones(72))
