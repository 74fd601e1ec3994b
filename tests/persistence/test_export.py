"""`elimax.export`: programs that carry their structures, called in a process that has never seen them."""

import functools
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import elimax as ex
from elimax._primitive.define import targets

from ..helpers import assert_close, spd, tolerance
from .fresh import run_fresh

pytest.importorskip("flatbuffers")

DTYPES = (np.float32, np.float64, np.complex64, np.complex128)


def _everything(A: ex.SymmetricMatrix, b: jax.Array) -> tuple:
    """Every kernel."""
    F = ex.cholesky(A)
    G = A.to_general()
    T = F.L
    return (
        F.solve(b),
        F.half_solve(b),
        F.half_solve(b, transpose=True),
        F.logdet(),
        F.selected_inverse().values,
        F.inverse_diagonal(),
        T.values,
        ex.triangular_solve(T, b),
        A @ b,
        b @ G,
        (G @ G).values,
        G.todense(),
        jax.grad(lambda v: ex.cholesky(A.with_values(v)).logdet())(A.values),
    )


def test_what_a_kernel_does_not_see_restores_nothing():
    """The values of A that only derivatives need come from a kernel that is left out of the program."""
    A = ex.SymmetricMatrix.from_scipy(spd("grid_2d"))
    b = jnp.ones(72)

    def solve(F, b):
        gradient = jax.grad(lambda v: ex.cholesky(A.with_values(v)).logdet())(F.matrix.values)
        matrix = F.matrix.with_values(gradient)
        return ex.Cholesky(matrix, F.symbolic, F.values, F.status, F.detail).solve(b)

    F = ex.cholesky(A)
    exported, expected = ex.export(solve, F, b), F.solve(b)
    ex.clear_structures()
    np.testing.assert_array_equal(exported.call(F, b), expected)
    jax.clear_caches()


def _log_density(A, b, s):
    return 0.5 * ex.cholesky(s * A).logdet() - 0.5 * s * b @ (A @ b) + b @ ex.cholesky(A).solve(b)


def _second_order(A, b):
    gradient = jax.grad(_log_density, (0, 2))
    return gradient(A, b, 2.0), jax.jvp(lambda s: gradient(A, b, s), (2.0,), (1.0,))


def _sampling(A, z):
    """Derivatives of the factor itself, in both modes."""

    def sample(v):
        F = ex.cholesky(A.with_values(v))
        return F.half_solve(z, transpose=True), F.half_solve(z), F.L.values

    def size(v):
        return sum(jnp.sum(x**2) for x in sample(v))

    gradient = jax.grad(size)
    direction = jnp.cos(A.values)
    return jax.jvp(sample, (A.values,), (direction,)), jax.jvp(gradient, (A.values,), (direction,))


def _loops(A, b):
    def step(x, s):
        return ex.cholesky(s * A).solve(x), ex.cholesky(s * A).logdet()

    def untrue(x):
        return ex.cholesky(A, throw=False).solve(x)

    x, y = jax.lax.scan(step, b, jnp.arange(1.0, 4.0))
    return x, y, jax.lax.cond(b[0] < 0, untrue, lambda x: x, b)


def _batch(A, b):
    s = jnp.arange(1.0, 4.0)
    return jax.vmap(lambda s, b: ex.cholesky(s * A).solve(b))(s, jnp.outer(s, b)), jax.vmap(
        lambda s: jax.grad(lambda A: ex.cholesky(s * A).logdet())(A).values
    )(s)


def _problem(dtype=np.float64) -> tuple[ex.SymmetricMatrix, jax.Array]:
    A = ex.SymmetricMatrix.from_scipy(spd("grid_2d", dtype))
    return A, jnp.cos(jnp.arange(A.shape[0])).astype(dtype)


FUNCTIONS = {f"everything, {np.dtype(d).name}": (_everything, d) for d in DTYPES} | {
    f.__name__: (f, np.float64) for f in (_second_order, _sampling, _loops, _batch)
}


@pytest.fixture(scope="module")
def called_elsewhere(tmp_path_factory):
    """The results of all functions, exported here and called in one fresh process."""
    folder = tmp_path_factory.mktemp("exported")
    programs = {}
    for name, (f, dtype) in FUNCTIONS.items():
        A, b = _problem(dtype)
        # The other process gets plain arrays: it sees no pattern but that in the program.
        by_values = lambda v, b, f=f, A=A: f(A.with_values(v), b)  # noqa: E731
        blob = ex.export(by_values, A.values, b).serialize()
        programs[name] = blob, np.asarray(A.values), np.asarray(b)
    A, b = _problem()
    programs["indefinite"] = programs["_loops"][0], -np.asarray(A.values), np.asarray(b)
    (folder / "programs").write_bytes(pickle.dumps(programs))
    run_fresh(
        """
results = {}
for name, (blob, *args) in read("programs").items():
    try:
        results[name] = jax.tree.map(np.asarray, jax.export.deserialize(blob).call(*args))
    except Exception as error:
        results[name] = str(error)
write("results", results)
""",
        folder,
    )
    return pickle.loads((folder / "results").read_bytes())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_process_that_has_never_seen_the_pattern_gets_the_same_numbers(called_elsewhere, name):
    f, dtype = FUNCTIONS[name]
    expected = jax.tree.leaves(jax.jit(f)(*_problem(dtype)))
    got = called_elsewhere[name]
    assert not isinstance(got, str), got
    for x, y in zip(jax.tree.leaves(got), expected, strict=True):
        assert x.dtype == y.dtype
        assert_close(x, y, tolerance(dtype) / 10)


def test_a_failure_elsewhere_names_the_column(called_elsewhere):
    assert "the pivot of column" in called_elsewhere["indefinite"]


def test_matrices_and_factors_are_arguments_and_results(tmp_path):
    A, b = _problem(np.complex128)
    F = ex.cholesky(A)
    matrix = ex.export(lambda A, b: (ex.cholesky(A).solve(b), A.to_general() @ A), A, b).serialize()
    factor = ex.export(lambda A: ex.cholesky(A), A).serialize()
    solve = ex.export(lambda F, b: F.solve(b) * F.logdet(), F, b).serialize()
    (tmp_path / "in").write_bytes(pickle.dumps((matrix, factor, solve, A, b)))
    run_fresh(
        """
matrix, factor, solve, A, b = read("in")
load = jax.export.deserialize
x, S = load(matrix).call(A, b)
assert type(S) is ex.SparseMatrix
F = load(factor).call(A)
assert F.matrix.pattern == A.pattern and F.symbolic == ex.analyze(A)
write("out", (x, S, F, load(solve).call(F, b), F.solve(b)))
""",
        tmp_path,
    )
    x, S, G, y, z = pickle.loads((tmp_path / "out").read_bytes())
    assert S.pattern == (A.to_general() @ A).pattern
    assert_close(S.values, (A.to_general() @ A).values, 1e-15)
    assert G.symbolic == F.symbolic and np.array_equal(G.values, F.values)
    for got, expected in ((x, F.solve(b)), (z, F.solve(b)), (y, F.solve(b) * F.logdet())):
        assert_close(got, expected, 1e-14)


# ---------------------------------------------------------------------------------------------
# In one process


def test_a_program_restores_its_structures_after_they_were_cleared():
    A, b = _problem()
    A = A.as_positive_definite()
    expected = ex.cholesky(A).solve(b)
    call = jax.jit(ex.export(ex.solve, A, b).call)
    for _ in range(3):
        assert np.array_equal(call(A, b), expected)
        ex.clear_structures()


def test_derivatives_of_an_exported_function():
    A, b = _problem()
    density = functools.partial(_log_density, s=1.5)
    exported = jax.export.deserialize(ex.export(density, A, b).serialize(vjp_order=2))
    ex.clear_structures()
    got, expected = (jax.grad(f, (0, 1))(A, b) for f in (exported.call, density))
    assert_close(got[0].values, expected[0].values, 1e-14)
    assert_close(got[1], expected[1], 1e-14)
    twice, expected = (
        jax.grad(lambda A, f=f: jax.grad(f)(A, b).values @ A.values)(A)
        for f in (exported.call, density)
    )
    assert_close(twice.values, expected.values, 1e-13)


def test_batches_and_right_hand_sides_of_symbolic_size():
    A, b = _problem()
    k, m = jax.export.symbolic_shape("k, m")
    f = jax.vmap(lambda s, B: ex.cholesky(s * A).solve(B), (0, None))
    shapes = jax.ShapeDtypeStruct((m,), b.dtype), jax.ShapeDtypeStruct((*b.shape, k), b.dtype)
    exported = ex.export(f, *shapes)
    for n_batch, n_columns in ((1, 3), (4, 1)):
        s, B = jnp.arange(1.0, 1 + n_batch), jnp.outer(b, jnp.arange(1.0, 1 + n_columns))
        assert_close(exported.call(s, B), f(s, B), 1e-14)


def test_a_matrix_has_no_symbolic_size():
    (n,) = jax.export.symbolic_shape("n")
    A, _ = _problem()
    with pytest.raises(ValueError, match=r"`values` must have shape \(199,\)"):
        ex.export(
            lambda v: ex.cholesky(A.with_values(v)).logdet(), jax.ShapeDtypeStruct((n,), np.float64)
        )


def test_jax_export_itself_with_disabled_checks():
    A, b = _problem()
    A = A.as_positive_definite()
    allowed = [
        jax.export.DisabledSafetyCheck.custom_call(f"elimax_{name}")
        for name in ("restore", "cholesky", "solve")
    ]
    exported = jax.export.export(jax.jit(ex.solve), disabled_checks=allowed)(A, b)
    ex.clear_structures()
    assert np.array_equal(exported.call(A, b), ex.cholesky(A).solve(b))
    with pytest.raises(ValueError, match="elimax_cholesky"):
        jax.export.export(jax.jit(ex.solve))(A, b)


def test_nothing_but_an_exported_program_carries_structures():
    A, b = _problem()
    f = jax.jit(lambda A, b: ex.cholesky(A).solve(b))
    exported = ex.export(f, A, b)
    assert "elimax_restore" in exported.mlir_module()
    assert "elimax_restore" not in f.lower(A, b).as_text()
    ex.cholesky(A).solve(b)
    assert "elimax_restore" in ex.export(f, A, b).mlir_module()


def test_a_structure_is_in_the_program_once():
    A, b = _problem()
    program = ex.export(_everything, A, b).mlir_module()
    assert program.count("elimax_restore") > 5
    assert program.count(A.pattern.rows.tobytes().hex().upper()) == 1


def test_what_a_factor_was_computed_with_is_not_restored_for_its_users():
    """Otherwise every user of the factor would have a copy of it."""
    A, b = _problem()
    F = ex.cholesky(A)

    def restored(f, *args):
        return ex.export(f, *args).mlir_module().count("custom_call @elimax_restore")

    assert restored(lambda A: ex.cholesky(A), A) == 3  # pattern, symbolic, embedding
    assert restored(lambda A: ex.cholesky(A).logdet(), A) == 3
    assert restored(lambda F: F.logdet(), F) == 2
    assert restored(jax.vmap(lambda s: ex.cholesky(s * A).solve(b)), jnp.ones(3)) == 3


def test_every_custom_call_is_allowed():
    assert {"elimax_restore", "elimax_cholesky", "elimax_gather"} <= set(targets)
    assert len(targets) == len(set(targets))
