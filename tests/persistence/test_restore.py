"""Content that the native core refuses: nothing that an invariant forbids becomes a structure."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import elimax as ex
from elimax._structure import _native
from elimax._structure.archive import pack, unpack
from elimax._structure.index_map import ZERO, IndexMap
from elimax._structure.lu_symbolic import analyze_lu
from elimax._structure.pattern import Pattern
from elimax._structure.selection import take
from elimax._structure.structure import Structure
from elimax._structure.symbolic import Symbolic

from ..helpers import spd


class Claim(Structure):
    """Any content under any kind, with the digest that belongs to it."""

    def __init__(self, kind, header, arrays, foundations=()):
        self.kind = kind  # type: ignore[misc]
        self._content = tuple(header), tuple(np.array(array, np.int32) for array in arrays)
        self._foundations = foundations

    content = property(lambda self: self._content)
    foundations = property(lambda self: self._foundations)


DAMAGED = "is damaged"
LOWER = ex.SymmetricMatrix.from_scipy(spd("grid_2d")).pattern
SYMBOLIC = ex.analyze(LOWER, ordering="amd", method="supernodal")
SINGLE_COLUMNS = ex.analyze(LOWER, ordering="amd", method="simplicial")
GENERAL = take(LOWER.to_general()[0], np.roll(np.arange(72), 1), np.arange(72))[0]
LU = analyze_lu(GENERAL)


def _symbolic(**changes) -> Claim:
    header, (sequence, permutation, supernodes) = SYMBOLIC.content
    arrays = {"sequence": sequence, "permutation": permutation, "super": supernodes} | changes
    pattern = arrays.pop("pattern", LOWER)
    pattern.pin()
    method = arrays.pop("method", header[0])
    return Claim("symbolic", (method, *header[1:]), arrays.values(), (pattern,))


@pytest.mark.parametrize(
    "structure",
    [LOWER, LOWER.to_general()[0], LOWER.diagonal(), SYMBOLIC, SINGLE_COLUMNS, SYMBOLIC.embedding(LOWER),
     LU.embedding(GENERAL)],
)  # fmt: skip
def test_what_python_made_is_restored(structure):
    ex.clear_structures()
    for part in (*structure.foundations, structure):
        for foundation in part.foundations:
            _restore(foundation)
        _restore(part)


def test_both_implementations_of_the_hash_agree_at_every_length():
    """Around the blocks of 128 bytes: the native core refuses what Python hashes differently."""
    ex.clear_structures()
    for size in range(100):
        _restore(IndexMap(np.arange(size)[::-1], size + 1))


def _restore(structure: Structure) -> None:
    _, arrays = structure.content
    _native.pin_content(structure.kind, structure.preamble, arrays, structure.digest)


BAD = {
    "unknown kind": Claim("patern", (1, 1, 0), ([0, 1], [0])),
    "rows out of range": Claim("pattern", (2, 2, 0), ([0, 1, 2], [0, 2])),
    "negative row": Claim("pattern", (2, 2, 0), ([0, 1, 2], [0, -1])),
    "rows unsorted": Claim("pattern", (2, 1, 0), ([0, 2], [1, 0])),
    "rows twice": Claim("pattern", (2, 1, 0), ([0, 2], [1, 1])),
    "pointers fall": Claim("pattern", (2, 2, 0), ([0, 2, 1], [0])),
    "pointers beyond rows": Claim("pattern", (2, 2, 0), ([0, 1, 9], [0, 1])),
    "pointers start late": Claim("pattern", (2, 2, 0), ([1, 1, 2], [0, 1])),
    "negative pointer": Claim("pattern", (2, 2, 0), ([0, -1, 2], [0, 1])),
    "too few pointers": Claim("pattern", (2, 2, 0), ([0, 2], [0, 1])),
    "no pointers": Claim("pattern", (2, 0, 0), ([], [])),
    "negative size": Claim("pattern", (-1, 2, 0), ([0, 0, 0], [])),
    "size beyond 32 bits": Claim("pattern", (2, 2**32 + 2, 0), ([0, 1, 2], [0, 1])),
    "symmetric, with an entry above the diagonal": Claim("pattern", (2, 2, 1), ([0, 1, 2], [0, 0])),
    "symmetric, not square": Claim("pattern", (3, 2, 1), ([0, 1, 2], [0, 1])),
    "an array too many": Claim("pattern", (2, 2, 0), ([0, 1, 2], [0, 1], [0])),
    "a number too few": Claim("pattern", (2, 2), ([0, 1, 2], [0, 1])),
    "map out of range": Claim("map", (3,), ([0, 3],)),
    "conjugated map out of range": Claim("map", (3,), ([0, ~3],)),
    "map from less than nothing": Claim("map", (-1,), ([ZERO],)),
    "foundation unknown": Claim("symbolic", SYMBOLIC.content[0], SYMBOLIC.content[1], (Pattern.eye(77),)),
    "embedding of nothing": Claim("embedding", (), ()),
    "embedding of nothing for LU": Claim("lu_embedding", (), (np.arange(9),)),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_breaks_an_invariant_is_refused(name):
    with pytest.raises(ValueError, match=DAMAGED):
        _restore(BAD[name])


@pytest.mark.parametrize(
    "changes",
    [
        {"sequence": np.zeros(72)},
        {"sequence": np.arange(1, 73)},
        {"sequence": np.arange(71)},
        {"permutation": np.arange(72)},
        {"super": np.arange(73)},
        {"method": 0},
        {"method": 2},
        {"method": 3},
        {"pattern": LOWER.to_general()[0]},
        {"pattern": Pattern.eye(71, symmetric=True)},
    ],
)
def test_a_symbolic_that_would_be_laid_out_differently_is_refused(changes):
    with pytest.raises(ValueError, match=DAMAGED):
        _restore(_symbolic(**changes))


def test_an_embedding_outside_of_the_factor_is_refused():
    for pattern in (Pattern.dense((72, 72)).lower()[0], Pattern.eye(71, symmetric=True)):
        SYMBOLIC.pin()
        pattern.pin()
        with pytest.raises(ValueError, match=DAMAGED):
            _restore(Claim("embedding", (), (), (SYMBOLIC, pattern)))


def _lu_embedding(matching=LU.matching, pattern=GENERAL) -> Claim:
    for foundation in (LU.symbolic, pattern):
        foundation.pin()
    return Claim("lu_embedding", (), (matching,), (LU.symbolic, pattern))


def test_an_embedding_for_another_matching_is_refused():
    _restore(_lu_embedding())
    for matching in (np.zeros(72), np.arange(1, 73), np.arange(71), LU.matching[::-1]):
        with pytest.raises(ValueError, match=DAMAGED):
            _restore(_lu_embedding(matching))
    for pattern in (Pattern.dense((72, 72)), Pattern.eye(71), Pattern.dense((72, 71))):
        with pytest.raises(ValueError, match=DAMAGED):
            _restore(_lu_embedding(pattern=pattern))


def test_content_with_a_foreign_digest_is_refused():
    P = Pattern.from_coo([0, 2, 1], [0, 0, 1], (3, 2))
    with pytest.raises(ValueError, match=DAMAGED):
        _native.pin_content(P.kind, P.preamble, P.content[1], IndexMap(np.arange(3), 5).digest)
    with pytest.raises(ValueError, match=DAMAGED):
        _native.pin_content(P.kind, P.preamble, P.content[1][:1], P.digest)


def test_an_exported_program_with_a_damaged_structure_is_an_error():
    """The handler itself, as a program calls it."""
    index_map = IndexMap(np.array([4, 0, 3]), 5)
    shape = jax.ShapeDtypeStruct((2,), np.float64)
    restore = jax.ffi.ffi_call("elimax_restore", shape, input_output_aliases={0: 0})
    hashes = _native.hash_attributes("content", index_map.digest)
    x = jnp.array([1.0, 2.0])
    for indices in (np.int32([4, 0, 2]), np.int32([4, 0, 3, 3]), np.float32([4, 0, 3])):
        with pytest.raises(
            Exception, match="carries a damaged sparsity structure|Wrong buffer dtype"
        ):
            jax.block_until_ready(
                restore(x, indices, kind="map", preamble=index_map.preamble, **hashes)
            )
    arrays = index_map.content[1]
    assert np.array_equal(restore(x, *arrays, kind="map", preamble=index_map.preamble, **hashes), x)
    gather = jax.ffi.ffi_call("elimax_gather", jax.ShapeDtypeStruct((3,), np.float64))
    y = gather(jnp.arange(5.0), **_native.hash_attributes("map", index_map.digest), rank=1)
    assert np.array_equal(y, [4.0, 0.0, 3.0])


# ---------------------------------------------------------------------------------------------
# Archives


@pytest.mark.parametrize("structure", [LOWER, LOWER.to_general()[0], LOWER.diagonal(), SYMBOLIC])
def test_archive(structure):
    again = unpack(type(structure), pack(structure))
    assert again == structure and again.arguments.keys() == structure.arguments.keys()
    assert repr(again) == repr(structure)


def test_bytes_that_are_no_archive_are_refused():
    archive = pack(SYMBOLIC)
    damaged = bytearray(archive)
    damaged[archive.index(b"pattern.rows.npy") + 80] ^= 1  # among the data that follow the name
    for blob in (
        b"",
        b"elimax",
        archive[:-30],
        archive[: len(archive) // 2],
        bytes(damaged),
        pack(LOWER),
    ):
        with pytest.raises(ValueError, match="not a stored Symbolic|is damaged"):
            unpack(Symbolic, blob)


def test_a_changed_byte_is_refused_or_harmless(rng):
    """Checksums and the digest leave no way to another structure; a few bytes of an archive mean nothing."""
    archive = pack(LOWER)
    refused = 0
    for _ in range(300):
        damaged = bytearray(archive)
        damaged[rng.integers(len(archive))] ^= 1 << rng.integers(8)
        try:
            assert unpack(Pattern, bytes(damaged)) == LOWER
        except ValueError:
            refused += 1
    assert refused > 200
