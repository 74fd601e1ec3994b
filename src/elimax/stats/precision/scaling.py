"""Structure matrices scaled to a typical variance of one."""

from typing import Any

import jax
import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int

import elimax as ex
from elimax.stats.gaussian import NullSpace, restricted


def marginal_variances(R: Any, null_space: NullSpace | None) -> Float[np.ndarray, " n"]:
    """diag of the generalized inverse of R, in double precision: R N = 0, all null vectors held.

    **Raises:** `ValueError` if R is not positive semidefinite with this null space.

    **Cost:** about three sparse factorizations, on the host.
    """
    with jax.ensure_compile_time_eval(), jax.enable_x64(True):
        matrix = ex.SymmetricMatrix.from_scipy(sp.csc_array(R))
        pair = None if null_space is None else (null_space.orthonormal.T, None)
        form = restricted(matrix, pair, null_space, intrinsic=True)
        variances = np.asarray(form.inverse_diagonal())
        status = int(form.status)
    if status != 0:
        raise ValueError(
            f"the structure matrix is not positive definite beside its null space (status {status})"
        )
    return variances


def scaled(R: Any, null_space: NullSpace | None, groups: Int[np.ndarray, " n"]) -> sp.csr_array:
    """R scaled, group by group, so that the geometric mean of the marginal variances of each is 1.

    Groups are connected components; single vertices, -1, are groups of their own.

    **Source:** Sorbye and Rue, Spatial Statistics 8 (2014); Freni-Sterrantino, Ventrucci and Rue, Spatial and
    Spatio-temporal Epidemiology 26 (2018), for graphs of several components.
    """
    log_variance = np.log(marginal_variances(R, null_space))
    labels = np.where(groups < 0, groups.max(initial=0) + 1 + np.arange(groups.size), groups)
    size = np.maximum(np.bincount(labels), 1)
    factor = np.exp(np.bincount(labels, log_variance) / size)[labels]
    return sp.csr_array(sp.diags_array(factor) @ R)
