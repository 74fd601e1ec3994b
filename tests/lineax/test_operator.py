"""`SparseLinearOperator`: the whole interface of a lineax operator, and what is said of wrong arguments."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest
import scipy.sparse
from jax.experimental.sparse import BCOO, BCSR

import elimax as ex

from .table import DTYPES, KINDS, ROWS, as_vector, assert_same, flat, kinds_of, make_operator


def _dense(rng, shape=(3, 3), dtype=np.float64):
    entries = rng.normal(size=shape)
    entries = entries + 1j * rng.normal(size=shape) if dtype == np.complex128 else entries
    return entries * (rng.uniform(size=shape) < 0.7)


def _operator(dense, tags=(), **structures):
    return ex.SparseLinearOperator(ex.SparseMatrix.from_dense(dense), tags, **structures)


@pytest.mark.parametrize("dtype", DTYPES)
def test_products_and_matrices(dtype, rng):
    dense = _dense(rng, (3, 5), dtype)
    operator = _operator(dense)
    x, y = _dense(rng, (5,), dtype), _dense(rng, (3,), dtype)
    assert_same(operator.mv(jnp.asarray(x)), dense @ x)
    assert_same(operator.T.mv(jnp.asarray(y)), dense.T @ y)
    assert_same(lx.conj(operator).mv(jnp.asarray(x)), dense.conj() @ x)
    assert_same(operator.as_matrix(), dense)
    assert_same(operator.transpose().as_matrix(), dense.T)
    assert_same(lx.conj(operator).as_matrix(), dense.conj())
    assert operator.in_structure() == jax.ShapeDtypeStruct((5,), dtype)
    assert operator.out_structure() == jax.ShapeDtypeStruct((3,), dtype)
    assert (operator.in_size(), operator.out_size()) == (5, 3)
    assert lx.linearise(operator) is operator
    assert lx.materialise(operator) is operator
    assert ex.materialise(operator) is operator


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "dense_with_pattern"])
def test_algebra(kind, dtype, rng, getkey):
    """Sums, differences, multiples and compositions with every other kind of operator."""
    name = {"symmetric": "ldl", "diagonal": "auto_diagonal", "tridiagonal": "auto_tridiagonal"}
    row = ROWS[name.get(kind, "lu")]
    if kind not in kinds_of(row, dtype):
        dtype = np.float64
    theta, b = row.draw(getkey(), dtype)
    other = make_operator(row, kind, theta)
    columns, rows = other.in_structure(), other.out_structure()
    B, A = row.matrix(theta), jnp.asarray(_dense(rng, (5, 5), dtype))
    ours = _operator(A, in_structure=columns, out_structure=rows)
    square = _operator(A, in_structure=rows, out_structure=rows)
    scalar = jnp.asarray(0.5 - 2j if dtype == np.complex128 else -0.5)
    operators = {
        "+": (ours + other, A + B),
        "+, reversed": (other + ours, A + B),
        "-": (ours - other, A - B),
        "-, alone": (-ours, -A),
        "*": (ours * scalar, scalar * A),
        "*, reversed": (scalar * ours, scalar * A),
        "/": (ours / scalar, A / scalar),
        "@": (square @ other, A @ B),
    }
    vector = as_vector(columns, b)
    for operator, dense in operators.values():
        assert_same(operator.as_matrix(), dense)
        assert_same(flat(operator.mv(vector)), dense @ b)
        assert_same(lx.diagonal(operator), jnp.diagonal(dense))
        if not (kind == "jacobian_backward"):
            assert_same(operator.T.as_matrix(), dense.T)
            assert_same(lx.conj(operator).as_matrix(), dense.conj())
        sparse = ex.materialise(operator)
        assert isinstance(sparse, ex.SparseLinearOperator)
        assert_same(sparse.as_matrix(), dense)
        assert (sparse.in_structure(), sparse.out_structure()) == (columns, rows)


TAGS = {
    lx.is_symmetric: lx.symmetric_tag,
    lx.is_diagonal: lx.diagonal_tag,
    lx.is_tridiagonal: lx.tridiagonal_tag,
    lx.has_unit_diagonal: lx.unit_diagonal_tag,
    lx.is_lower_triangular: lx.lower_triangular_tag,
    lx.is_upper_triangular: lx.upper_triangular_tag,
    lx.is_positive_semidefinite: lx.positive_semidefinite_tag,
    lx.is_negative_semidefinite: lx.negative_semidefinite_tag,
}
IMPLIED = {
    lx.is_diagonal: {
        lx.is_symmetric,
        lx.is_tridiagonal,
        lx.is_lower_triangular,
        lx.is_upper_triangular,
    },
    lx.is_positive_semidefinite: {lx.is_symmetric},
    lx.is_negative_semidefinite: {lx.is_symmetric},
}


def _true_of(operator) -> set:
    return {query for query in TAGS if query(operator)}


@pytest.mark.parametrize("query", TAGS, ids=lambda query: query.__name__)
def test_a_tag_answers(query):
    """Alone, among others, and through transposes, conjugates and materialization."""
    full = _operator(np.ones((3, 3)))
    assert _true_of(full) == set()
    tag = TAGS[query]
    told = {query} | (IMPLIED.get(query, set()) if query is not lx.is_diagonal else set())
    for tags in (tag, [tag], (tag,), {tag}, frozenset([tag])):
        found = _true_of(_operator(np.ones((3, 3)), tags))
        assert told <= found <= told | IMPLIED.get(query, set())
        assert _operator(np.ones((3, 3)), tags).tags == {tag}
    opposite = {
        lx.is_lower_triangular: lx.is_upper_triangular,
        lx.is_upper_triangular: lx.is_lower_triangular,
    }
    operator = _operator(np.ones((3, 3)), tag)
    assert opposite.get(query, query)(operator.T)
    assert query(operator.T.T)
    assert query(lx.conj(operator))
    assert query(lx.linearise(operator)) and query(lx.materialise(operator))


def test_a_definite_complex_operator_is_not_symmetric():
    """But Hermitian: its transpose is its conjugate."""
    dense = np.array([[2, 1j], [-1j, 2]])
    operator = _operator(dense, lx.positive_semidefinite_tag)
    assert not lx.is_symmetric(operator)
    assert_same(operator.T.as_matrix(), dense.conj())
    assert lx.is_positive_semidefinite(operator.T)


STRUCTURES = {
    "diagonal": (np.eye(4), {lx.is_symmetric, *IMPLIED[lx.is_diagonal], lx.is_diagonal}),
    "one": (np.ones((1, 1)), {lx.is_symmetric, *IMPLIED[lx.is_diagonal], lx.is_diagonal}),
    "empty": (np.zeros((0, 0)), {lx.is_symmetric, *IMPLIED[lx.is_diagonal], lx.is_diagonal}),
    "tridiagonal": (np.triu(np.tril(np.ones((4, 4)), 1), -1), {lx.is_tridiagonal}),
    "lower": (np.tril(np.ones((4, 4))), {lx.is_lower_triangular}),
    "upper": (np.triu(np.ones((4, 4))), {lx.is_upper_triangular}),
    "lower bidiagonal": (
        np.tril(np.triu(np.ones((4, 4)), -1)),
        {lx.is_lower_triangular, lx.is_tridiagonal},
    ),
    "full": (np.ones((4, 4)), set()),
    "tall": (np.eye(4, 3), set()),
}


@pytest.mark.parametrize("name", STRUCTURES)
def test_the_pattern_answers(name):
    dense, true = STRUCTURES[name]
    assert _true_of(_operator(dense)) == true
    flipped = {
        lx.is_lower_triangular: lx.is_upper_triangular,
        lx.is_upper_triangular: lx.is_lower_triangular,
    }
    assert _true_of(_operator(dense).T) == {flipped.get(query, query) for query in true}


def test_the_type_of_a_matrix_answers():
    """Symmetric ones that are stored by halves, whatever their bands; what is declared definite."""
    band = np.triu(np.tril(np.ones((4, 4)), 1), -1) + 2 * np.eye(4)
    A = ex.SymmetricMatrix.from_dense(band)
    assert _true_of(ex.SparseLinearOperator(A)) == {lx.is_symmetric, lx.is_tridiagonal}
    told = {lx.is_symmetric, lx.is_tridiagonal, lx.is_positive_semidefinite}
    assert _true_of(ex.SparseLinearOperator(A.as_positive_definite())) == told
    hermitian = A.astype(np.complex128)
    assert _true_of(ex.SparseLinearOperator(hermitian)) == {lx.is_tridiagonal}
    symmetric = ex.SymmetricMatrix(hermitian.pattern, hermitian.values, hermitian=False)
    told = {lx.is_symmetric, lx.is_tridiagonal}
    assert _true_of(ex.SparseLinearOperator(symmetric)) == told


def test_between_different_structures_nothing_is_diagonal():
    """The identity from one structure to another one cannot be solved by dividing leaf by leaf."""
    columns = {"x": jax.ShapeDtypeStruct((4,), np.float64)}
    operator = _operator(np.eye(4), in_structure=columns)
    assert _true_of(operator) == set()


@pytest.mark.parametrize("dtype", DTYPES)
def test_diagonals(dtype, rng):
    full = _dense(rng, (4, 4), dtype)
    assert_same(lx.diagonal(_operator(full)), jnp.diagonal(full))
    band = np.triu(np.tril(full, 1), -1)
    expected = tuple(jnp.diagonal(band, offset=k) for k in (0, -1, 1))
    assert_same(lx.tridiagonal(_operator(band)), expected)
    assert_same(lx.tridiagonal(_operator(full, lx.tridiagonal_tag)), expected)
    symmetric = ex.SymmetricMatrix.from_dense(band + band.T, hermitian=False)
    expected = tuple(jnp.diagonal(band + band.T, offset=k) for k in (0, -1, 1))
    assert_same(lx.tridiagonal(ex.SparseLinearOperator(symmetric)), expected)
    assert_same(lx.diagonal(ex.SparseLinearOperator(symmetric)), expected[0])


@pytest.mark.parametrize("dtype", DTYPES)
def test_other_formats(dtype, rng):
    """BCOO, BCSR and SciPy's; inside of jit, too, where JAX's indices are constants."""
    dense = _dense(rng, (3, 4), dtype)
    formats = {
        "bcoo": BCOO.fromdense(dense),
        "bcsr": BCSR.fromdense(dense),
        "csc": scipy.sparse.csc_array(dense),
        "coo matrix": scipy.sparse.coo_matrix(dense),
    }
    found = {name: ex.SparseLinearOperator(matrix).as_matrix() for name, matrix in formats.items()}
    assert_same(found, dict.fromkeys(formats, dense))
    bcoo = formats["bcoo"]

    @jax.jit
    def traced(data):
        matrix = BCOO((data, bcoo.indices), shape=bcoo.shape)
        return ex.SparseLinearOperator(matrix).mv(jnp.ones(4))

    assert_same(traced(2 * bcoo.data), 2 * dense @ jnp.ones(4))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["sparse", "symmetric", "pytree_sparse"])
def test_tangents(kind, dtype, getkey):
    """A tangent of an operator is one: products, transposes, conjugates, and tangents of these."""
    row = ROWS["ldl"]
    theta, b = row.draw(getkey(), dtype)
    t_theta, _ = row.draw(getkey(), dtype)
    make = functools.partial(make_operator, row, kind)
    operator, tangent = eqx.filter_jvp(make, (theta,), (t_theta,))
    both = lx.TangentLinearOperator(operator, tangent)
    _, dense = jax.jvp(row.matrix, (theta,), (t_theta,))
    vector = as_vector(operator.in_structure(), b)
    for form in (lambda x: x, lx.linearise, lx.materialise):
        assert_same(form(both).as_matrix(), dense)
        assert_same(flat(form(both).mv(vector)), dense @ b)
        assert_same(form(both).T.as_matrix(), dense.T)
        assert_same(lx.conj(form(both)).as_matrix(), dense.conj())


def test_an_operator_is_a_pytree(rng):
    """Through jit, vmap and tree_map; one program for equal patterns."""
    dense = _dense(rng)
    operator = _operator(dense, lx.symmetric_tag)
    doubled = jax.tree.map(lambda x: 2 * x, operator)
    assert_same(doubled.as_matrix(), 2 * dense)
    assert doubled.tags == operator.tags
    traces = []

    @jax.jit
    def f(operator, x):
        traces.append(1)
        return operator.mv(x)

    x = jnp.arange(3.0)
    assert_same(f(operator, x), dense @ x)
    assert_same(f(_operator(3 * dense, lx.symmetric_tag), x), 3 * dense @ x)
    assert len(traces) == 1
    batch = jax.vmap(lambda c: _operator_times(c, operator))(jnp.arange(1.0, 4.0))
    assert_same(jax.vmap(f, (0, None))(batch, x)[2], 3 * dense @ x)


def _operator_times(scalar, operator):
    return jax.tree.map(lambda x: scalar * x, operator)


@pytest.mark.parametrize(
    "solver",
    [lx.LU(), lx.QR(), lx.SVD(), lx.AutoLinearSolver(well_posed=True), lx.GMRES(1e-12, 1e-12)],
    ids=lambda solver: type(solver).__name__,
)
def test_solvers_of_lineax_take_it(solver, rng):
    dense = _dense(rng, (5, 5)) + 4 * np.eye(5)
    b = jnp.asarray(rng.normal(size=5))
    found = lx.linear_solve(_operator(dense), b, solver).value
    assert_same(found, jnp.linalg.solve(dense, b), 1e-9)


def test_structured_solvers_of_lineax_take_it(rng):
    """Those that ask for diagonals, triangles and definiteness."""
    dense = _dense(rng, (5, 5)) / 3 + 4 * np.eye(5)
    b = jnp.asarray(rng.normal(size=5))
    parts = {
        lx.Diagonal(): np.diag(np.diag(dense)),
        lx.Tridiagonal(): np.triu(np.tril(dense, 1), -1),
        lx.Triangular(): np.tril(dense),
        lx.Cholesky(): dense @ dense.T,
        lx.CG(1e-12, 1e-12): dense @ dense.T,
    }
    for solver, part in parts.items():
        operator = _operator(part)
        if isinstance(solver, lx.Cholesky | lx.CG):
            operator = _operator(part, lx.positive_semidefinite_tag)
        found = lx.linear_solve(operator, b, solver).value
        assert_same(found, jnp.linalg.solve(part, b), 1e-9)


def test_what_a_symmetric_matrix_is_needs_no_tag(rng):
    """Hermitian: in sums and behind tags, too, where lineax has no word for it."""
    dense = _dense(rng, (4, 4), np.complex128)
    A = ex.SymmetricMatrix.from_dense(dense + dense.conj().T + np.diag([5, -5, 5, -5]))
    ours = ex.SparseLinearOperator(A)
    b = jnp.asarray(_dense(rng, (4,), np.complex128))
    for operator in (
        ours + ours,
        lx.TaggedLinearOperator(ours, ex.Pattern.dense((4, 4))),
        -ours,
        2.0 * ours,
    ):
        for solver in (ex.SparseLDL(), ex.AutoSparse()):
            found = lx.linear_solve(operator, b, solver).value
            assert_same(found, jnp.linalg.solve(operator.as_matrix(), b))
        assert isinstance(ex.AutoSparse().select_solver(operator), ex.SparseLDL)
