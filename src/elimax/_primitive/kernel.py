"""What a native kernel looks like for one matrix, and what follows for its operands and results.

Operands may have leading dimensions, one for every `vmap`: the first few of those of the results, or none.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax

from elimax._primitive.sharding import result_type, sharded_axes
from elimax._structure.index_map import LARGEST

Shape = jax.ShapeDtypeStruct


@dataclasses.dataclass(frozen=True)
class Kernel:
    """What `define` needs to know about a native kernel, batch dimensions left out.

    - `ranks`: the rank of each operand; the last one holds for all further operands.
    - `results`: shapes and dtypes of the results, from those of the operands and the static parameters. A
      single `Shape` instead of a tuple means a primitive with one result.
    - `attributes`: from the static parameters, the attributes of the native call. A structure under the
      name NAME is pinned, and reaches the kernel as its hash in NAME_high and NAME_low.
    - `target`: the native handler, the symbol `elimax_TARGET` of the shared library; the name, if empty.
    - `n_derivative_only`: how many leading operands the kernel never sees: values of A that only derivative
      rules need.
    - `columns`: the operand of rank 2, if there is one, whose columns the kernel treats one by one: the last
      dimension of every result counts them, but for scalars.
    - `summed`: operands of rank 2 over whose columns the kernel sums.
    """

    name: str
    ranks: tuple[int, ...]
    results: Callable[..., Shape | tuple[Shape, ...]]
    attributes: Callable[..., dict[str, Any]]
    target: str = ""
    n_derivative_only: int = 0
    columns: int | None = None
    summed: tuple[int, ...] = ()

    def rank(self, operand: int) -> int:
        return self.ranks[min(operand, len(self.ranks) - 1)]

    def batch_shape(self, operands: Sequence[Any]) -> tuple[int, ...]:
        """The leading dimensions of the results: the longest of those of the operands."""
        leads = (x.shape[: len(x.shape) - self.rank(i)] for i, x in enumerate(operands))
        return max(leads, key=len)

    def result_shapes(
        self, operands: Sequence[Any], params: dict[str, Any], batch: tuple[int, ...]
    ) -> list[Shape]:
        cores = [
            Shape(x.shape[len(x.shape) - self.rank(i) :], x.dtype) for i, x in enumerate(operands)
        ]
        for i, core in enumerate(cores):
            columns = core.shape[-1] if len(core.shape) == 2 else 1
            if isinstance(columns, int) and columns > LARGEST:  # it may be symbolic
                raise ValueError(
                    f"{self.name}: operand {i} has {columns} columns, and one call takes at most "
                    f"{LARGEST}; a vmap over right-hand sides makes columns of them. Use jax.lax.map with "
                    "a batch_size instead."
                )
        results = self.results(*cores, **params)
        results = results if isinstance(results, tuple) else (results,)
        return [Shape(batch + result.shape, result.dtype) for result in results]

    def result_types(self, operands: Sequence[Any], params: dict[str, Any]) -> list[Any]:
        """The shapes, with how the results are spread over devices, from the types of the operands."""
        ranks = [self.rank(i) for i in range(len(operands))]
        columns = self.summed if self.columns is None else (self.columns,)
        batch, column = sharded_axes(self.name, operands, ranks, columns)
        lead = self.batch_shape(operands)
        return [
            result_type(
                operands,
                shape,
                batch,
                column if len(shape.shape) > len(lead) and not self.summed else None,
            )
            for shape in self.result_shapes(operands, params, lead)
        ]


def check_values(size: int, values: Any) -> None:
    """Raises the `ValueError` for values that are not those of one matrix, or one factor, of `size` entries.

    Those of matrices are checked where matrices are made, but pytrees can be put together from any leaves.
    """
    if values.ndim != 1:
        raise ValueError(
            f"a batch of matrices, with values of shape {values.shape}, came out of jax.vmap; what is to be "
            "done with each of them goes under jax.vmap, too: jax.vmap(lambda A: ...)(batch)"
        )
    if values.shape[0] != size:
        raise ValueError(
            f"a matrix or a factor has {values.shape[0]} values and a structure of {size} entries: they "
            "do not belong together"
        )
