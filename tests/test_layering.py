"""The architecture as data: imports run strictly downwards, each floor keeps to its own tools."""

import ast
import importlib.util
import itertools
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).parents[1]
SOURCE = ROOT / "src" / "elimax"
MAX_LINES = 400

# A module imports from lower floors only.
FLOORS = {
    # vocabulary
    "_types": 0,
    "_results": 0,
    # integers, on the host
    "_structure._native": 10,
    "_structure._native_coloring": 11,
    "_structure.host": 11,
    "_structure.structure": 11,
    "_structure.archive": 12,
    "_structure.index_map": 12,
    "_structure.pattern": 13,
    "_structure.assembly": 14,
    "_structure.colorable": 14,
    "_structure.coloring": 15,
    "_structure.greedy": 16,
    "_structure.lattice": 16,
    "_structure.bicoloring": 17,
    "_structure.stencil": 17,
    "_structure.best_coloring": 18,
    "_structure.color": 19,
    "_structure.selection": 14,
    "_structure.ordering": 14,
    "_structure.matching": 14,
    "_structure.symbolic": 15,
    "_structure.ldl_symbolic": 16,
    "_structure.lu_symbolic": 16,
    "_structure": 19,
    # floats, as JAX primitives
    "_primitive.jax_version": 20,
    "_primitive": 21,
    "_primitive.taylor": 21,
    "_primitive.partition": 21,
    "_primitive.sharding": 21,
    "_primitive.kernel": 22,
    "_primitive.batching": 23,
    "_primitive.define": 24,
    "_primitive.guard": 25,
    "_primitive.factor": 25,
    "_primitive.incomplete": 25,
    "_primitive.factor_derivative": 25,
    "_primitive.product": 25,
    "_primitive.selected_inverse": 25,
    "_primitive.solve": 25,
    "_primitive.triangular": 25,
    "_primitive.external": 26,
    "_primitive.scaling": 26,
    "_primitive.pivoted": 26,
    "_primitive.determinant": 27,
    "_primitive.refined_solve": 27,
    "_primitive.derivative": 29,
    # matrices, and what is done with them
    "_matrix.base": 30,
    "_matrix.sparse": 31,
    "_matrix.symmetric": 32,
    "_matrix.assembly": 33,
    "_matrix": 34,
    "_factor.right_hand_side": 40,
    "_factor.selected": 40,
    "_factor.cholesky": 41,
    "_factor.pivoted": 41,
    "_factor.incomplete": 41,
    "_factor.ldl": 42,
    "_factor.lu": 42,
    "_factor.choose": 43,
    "_factor": 44,
    "_triangular": 40,
    "_least_squares": 45,
    "_export": 50,
    # functions known by their products
    "_jacobian.sparsity": 50,
    "_jacobian.sparsity.dependence": 51,
    "_jacobian.sparsity.values": 51,
    "_jacobian.sparsity.body": 52,
    "_jacobian.sparsity.composition": 52,
    "_jacobian.sparsity.equation": 52,
    "_jacobian.sparsity.elimax_rules": 53,
    "_jacobian.sparsity.indexing_rules": 53,
    "_jacobian.sparsity.moving_rules": 53,
    "_jacobian.sparsity.scan": 53,
    "_jacobian.sparsity.uniting_rules": 53,
    "_jacobian.sparsity.window_rules": 53,
    "_jacobian.sparsity.control_flow": 54,
    "_jacobian.sparsity.linear_pattern": 55,
    # sparse derivatives, by products
    "_jacobian.arguments": 50,
    "_jacobian.compressed": 51,
    "_jacobian.settle": 51,
    "_jacobian.space": 51,
    "_jacobian.verification": 51,
    "_jacobian.call": 52,
    "_jacobian.evaluation": 53,
    "_jacobian.check": 54,
    "_jacobian.detection": 56,
    "_jacobian.patterns": 57,
    "_jacobian.plan": 58,
    "_jacobian.jacobian": 59,
    # ... and by vertex elimination
    "_jacobian.elimination": 50,
    "_jacobian.elimination.layout": 51,
    "_jacobian.elimination.layout_algebra": 52,
    "_jacobian.elimination.call": 53,
    "_jacobian.elimination.structured": 53,
    "_jacobian.elimination.moving_partials": 54,
    "_jacobian.elimination.colored_partial": 56,
    "_jacobian.elimination.partial": 57,
    "_jacobian.elimination.graph": 58,
    "_jacobian.elimination.elimination": 59,
    "_jacobian.elimination.problem": 59,
    "_jacobian.elimination.search": 60,
    "_jacobian.elimination.jacve": 61,
    "_jacobian": 62,
    # the faces to lineax
    "_operator.sparse": 63,
    "_operator.products": 64,
    "_operator.assemble": 65,
    "_operator.materialise": 66,
    "_operator": 67,
    "_solver.result": 70,
    "_solver.direct": 71,
    "_solver.factorizing": 72,
    "_solver.triangular": 72,
    "_solver.incomplete": 72,
    "_solver.auto": 73,
    "_solver.preconditioner": 74,
    "_solver": 75,
    # solvers of others, on the host
    "_external.registry": 76,
    "_external.bound": 76,
    "_external.host": 77,
    "_external.dispatch": 78,
    "_external.solver": 79,
    "_external": 80,
    "": 90,
    # what needs extras, and is imported by nothing else
    "adapters": 91,
    "adapters.cholmod": 91,
    "adapters.pardiso": 91,
    "adapters.pyamg": 91,
    "adapters.superlu": 91,
    "plotting.graph": 91,
    "plotting.spy": 91,
    "plotting": 92,
    # Gaussian Markov random fields
    "stats.gaussian.coordinates": 100,
    "stats.gaussian.null_space": 100,
    "stats.gaussian.restricted": 101,
    "stats.gaussian.design": 102,
    "stats.gaussian.field": 102,
    "stats.gaussian.gmrf": 103,
    "stats.gaussian.stacking": 104,
    "stats.gaussian": 109,
    "stats.precision.family": 110,
    "stats.precision.graph": 110,
    "stats.precision.scaling": 110,
    "stats.precision.finite_elements": 111,
    "stats.precision.matern_parameters": 111,
    "stats.precision.anisotropic": 112,
    "stats.precision.areal": 112,
    "stats.precision.autoregressive": 112,
    "stats.precision.barrier": 112,
    "stats.precision.matern": 112,
    "stats.precision.walks": 112,
    "stats.precision.combine": 113,
    "stats.precision.fractional": 113,
    "stats.precision.pc_prior": 113,
    "stats.precision": 119,
    "stats.mesh.geometry": 120,
    "stats.mesh.curve": 121,
    "stats.mesh.arguments": 122,
    "stats.mesh.refinement": 122,
    "stats.mesh.generation": 123,
    "stats.mesh.mesh": 124,
    "stats.mesh.assembly": 125,
    "stats.mesh.plot": 125,
    "stats.mesh": 129,
    # latent Gaussian models
    "stats.likelihood.base": 130,
    "stats.likelihood.special": 130,
    "stats.likelihood.continuous": 131,
    "stats.likelihood.counts": 131,
    "stats.likelihood.custom": 131,
    "stats.likelihood.inflated": 131,
    "stats.likelihood.ordinal": 131,
    "stats.likelihood.survival": 131,
    "stats.likelihood.tweedie": 131,
    "stats.likelihood.modified": 131,
    "stats.likelihood.weighted": 132,
    "stats.likelihood": 134,
    "stats.laplace.curvature": 135,
    "stats.laplace.status": 135,
    "stats.laplace.joint": 136,
    "stats.laplace.mode": 137,
    "stats.laplace.model": 137,
    "stats.laplace.approximation": 138,
    "stats.laplace.uncertainty": 139,
    "stats.laplace.maximize": 140,
    "stats.laplace": 144,
    "stats.inference.correction": 145,
    "stats.inference.density": 145,
    "stats.inference.design": 145,
    "stats.inference.marginal": 145,
    "stats.inference.conditional": 146,
    "stats.inference.evaluate": 146,
    "stats.inference.criticism": 147,
    "stats.inference.draws": 147,
    "stats.inference.explore": 147,
    "stats.inference.hyper": 148,
    "stats.inference.inla": 148.5,
    "stats.inference.importance": 148.7,
    "stats.inference": 149,
    "stats.inference.arviz": 149.5,
    # mixed models by formula
    "stats.mixed.family": 150,
    "stats.mixed.formula": 150,
    "stats.mixed.random_term": 150,
    "stats.mixed.table": 150,
    "stats.mixed.grouping": 151,
    "stats.mixed.optimize": 151,
    "stats.mixed.random_design": 151,
    "stats.mixed.results": 151,
    "stats.mixed.scaling": 151,
    "stats.mixed.columns": 152,
    "stats.mixed.cross_products": 152,
    "stats.mixed.generalized": 152,
    "stats.mixed.criterion": 153,
    "stats.mixed.design": 153,
    "stats.mixed.plots": 153,
    "stats.mixed.maximum": 154,
    "stats.mixed.fit": 154,
    "stats.mixed.generalized_fit": 155,
    "stats.mixed.glmm": 156,
    "stats.mixed.lmm": 155,
    "stats.mixed.compare": 156,
    "stats.mixed": 159,
    # the faces to other packages
    "stats.numpyro": 171,
    "stats.pymc": 172,
    # all of statistics
    "stats": 199,
    # what an installation prints of itself
    "_self_check": 200,
    "__main__": 201,
}
# The packages a module may take from JAX's extension interfaces.
JAX_INTERNALS = {
    "_primitive.define": {"jax.extend", "jax.interpreters"},
    "_primitive.derivative": {"jax.interpreters"},
}

FILES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix("__init__").strip("."): (
        path
    )
    for path in sorted(SOURCE.rglob("*.py"))
}


def imports(tree: ast.AST, package: str = "") -> Iterator[str]:
    """The full name of everything that a module of `package` imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def package_of(module: str) -> str:
    """The package that relative imports in `module` start from."""
    path = FILES[module]
    return ".".join(("elimax", *path.parent.relative_to(SOURCE).parts))


def elimax_module(name: str) -> str | None:
    """The module an imported name belongs to: "elimax._matrix.f" -> "_matrix", "jax" -> None."""
    parts = name.split(".")
    if parts[0] != "elimax":
        return None
    return next(
        module for stop in range(len(parts), 0, -1) if (module := ".".join(parts[1:stop])) in FILES
    )


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


@pytest.fixture(params=FILES, ids=lambda module: module or "elimax")
def module(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def tree(module: str) -> ast.Module:
    return ast.parse(FILES[module].read_text())


def test_every_module_has_a_floor():
    assert set(FILES) == set(FLOORS)


def test_imports_run_downwards(module, tree):
    for name in imports(tree, package_of(module)):
        imported = elimax_module(name)
        if imported is not None:
            assert FLOORS[imported] < FLOORS[module], f"{module} imports {name}"


def test_no_import_hides_in_a_function(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            assert not list(imports(node, "elimax")), f"line {node.lineno}"


def test_jax_internals_stay_behind_their_doors(module, tree):
    allowed = JAX_INTERNALS.get(module, set())
    for name in imports(tree, package_of(module)):
        assert not within(name, "jax._src") and not within(name, "jaxlib._jax")
        for package in ("jax.extend", "jax.interpreters"):
            assert package in allowed or not within(name, package), f"{module} imports {name}"
    for node in ast.walk(tree):
        assert not (isinstance(node, ast.Attribute) and node.attr == "_src")


def test_structure_is_free_of_jax():
    """Imports the floor under a package that is not executed, and looks at what came with it."""
    names = [f"elimax.{module}" for module in FILES if within(module, "_structure")]
    program = f"""
import importlib, importlib.util, sys, types
spec = importlib.util.find_spec("elimax")
package = types.ModuleType("elimax")
package.__path__ = list(spec.submodule_search_locations)
sys.modules["elimax"] = package
for name in {names}:
    importlib.import_module(name)
print(*(name for name in sys.modules if name.partition(".")[0] in ("jax", "jaxlib")))
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == []


def test_files_are_short():
    files = itertools.chain(FILES.values(), (ROOT / "cpp").iterdir())
    lengths = {path.name: len(path.read_text().splitlines()) for path in files}
    assert {name: n for name, n in lengths.items() if n > MAX_LINES} == {}
