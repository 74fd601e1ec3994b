"""Latent Gaussian models of the shared data, in the parametrization of the peers that fitted them.

Each function returns a `Reference`: the model, and what the peer found. A parameter vector is flat, in the
order in which the peer lists it.
"""

import json
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import pandas as pd
import scipy.io
import scipy.sparse as sp

import elimax as ex
from elimax.stats.gaussian import GMRF, NullSpace
from elimax.stats.laplace import LatentGaussianModel
from elimax.stats.likelihood import (
    Binomial,
    Gamma,
    Gaussian,
    Likelihood,
    Poisson,
    Weibull,
)


class Reference(NamedTuple):
    model: LatentGaussianModel
    theta: np.ndarray  # the peer's optimum
    nll: float
    truth: dict[str, Any]


def read(shared, folder: str, name: str) -> Any:
    path = shared / "data" / folder / name
    if name.endswith(".json"):
        return json.loads(path.read_text())
    if name.endswith(".mtx"):
        return sp.csc_array(scipy.io.mmread(path))
    return pd.read_csv(path)


def truth_of(shared, file: str, name: str) -> dict[str, Any]:
    return read(shared, "truth", f"{file}.json")["models"][name]


def reference(model, truth) -> Reference:
    return Reference(model, np.array(list(truth["par"].values())), truth["nll_laplace"], truth)


def indicators(labels) -> sp.csr_array:
    codes = pd.factorize(np.asarray(labels), sort=True)[0]
    return sp.csr_array((np.ones(codes.size), (np.arange(codes.size), codes)))


def dummies(labels) -> np.ndarray:
    """Treatment contrasts: one column for every level but the first."""
    return indicators(labels).toarray()[:, 1:]


def laplacian(edges: pd.DataFrame, n: int) -> sp.csc_array:
    W = sp.coo_array((np.ones(len(edges)), (edges.i - 1, edges.j - 1)), (n, n))
    W = W + W.T
    return sp.csc_array(sp.diags_array(np.asarray(W.sum(axis=1)).ravel()) - W)


def iid_groups(likelihood: Likelihood, y, X, groups, **split) -> LatentGaussianModel:
    """Fixed effects and independent intercepts of groups; theta: see `split`, log sds last.

    `split` says which slice of theta the parameters of the likelihood are made of, and how.
    """
    p, g = X.shape[1], len(groups)
    Zs = [indicators(group) for group in groups]
    sizes = [Z.shape[1] for Z in Zs]
    n = sum(sizes)

    def latent(theta):
        log_sd = theta[-g:]
        return ex.SymmetricMatrix.diags(
            jnp.concatenate([jnp.full(k, jnp.exp(-2 * s)) for k, s in zip(sizes, log_sd)])
        )

    return LatentGaussianModel(
        latent,
        ex.SparseMatrix.from_scipy(sp.csc_array(sp.hstack(Zs))),
        likelihood,
        np.asarray(y, float),
        parameters=lambda theta: {k: f(theta[p : theta.size - g]) for k, f in split.items()},
        offset=lambda theta: jnp.asarray(X) @ theta[:p],
    )


def cbpp(shared) -> Reference:
    d = read(shared, "csv", "cbpp.csv")
    X = np.c_[np.ones(len(d)), dummies(d.period)]
    model = iid_groups(Binomial(d["size"].to_numpy(float)), d.incidence, X, [d.herd])
    truth = read(shared, "truth", "glmmtmb.json")["models"]["cbpp_binomial"]
    return Reference(model, np.array(list(truth["par"].values())), truth["nll"], truth)


def icar(y, exposure, x, edges, n) -> LatentGaussianModel:
    R = ex.SymmetricMatrix.from_scipy(laplacian(edges, n))
    return LatentGaussianModel(
        lambda theta: GMRF(0.0, jnp.exp(theta[1]) * R, null_space=NullSpace.constant(n)),
        None,
        Poisson(jnp.asarray(exposure)),
        np.asarray(y, float),
        offset=lambda theta: theta[0] * jnp.asarray(x),
    )


def scotland(shared) -> Reference:
    d = read(shared, "csv", "scotland_lip.csv")
    edges = read(shared, "csv", "scotland_edges.csv")
    model = icar(d.Counts, d.E.to_numpy(), d.X.to_numpy() / 10, edges, 56)
    return reference(model, truth_of(shared, "rtmb_areal_smoothing", "scotland_icar"))


def germany(shared) -> Reference:
    d = read(shared, "csv", "germany_larynx.csv")
    edges = read(shared, "csv", "germany_edges.csv")
    model = icar(d.Y, d.E.to_numpy(), d.x.to_numpy() / 100, edges, 544)
    return reference(model, truth_of(shared, "rtmb_areal_smoothing", "germany_icar_x"))


def cyclic_rw2(n: int) -> ex.SymmetricMatrix:
    D = sp.diags_array([1.0, -2.0, 1.0], offsets=[0, 1, 2], shape=(n, n)).tolil()
    D[n - 2, 0], D[n - 1, 0], D[n - 1, 1] = 1, -2, 1
    D = D.tocsc()
    return ex.SymmetricMatrix.from_scipy(D.T @ D)


def tokyo(shared) -> Reference:
    d = read(shared, "csv", "tokyo.csv")
    R = cyclic_rw2(366)
    model = LatentGaussianModel(
        lambda theta: GMRF(0.0, jnp.exp(theta[0]) * R, null_space=NullSpace.constant(366)),
        None,
        Binomial(d.n.to_numpy(float)),
        d.y.to_numpy(float),
    )
    return reference(model, truth_of(shared, "rtmb_areal_smoothing", "tokyo_rw2_cyclic"))


def spde(shared, name: str):
    """kappa, tau -> the precision tau^2 (kappa^4 C0 + 2 kappa^2 G1 + G2), and the projector."""
    parts = [
        ex.SymmetricMatrix.from_scipy(read(shared, "csv", f"{name}_spde_{part}.mtx"))
        for part in ("c0", "g1", "g2")
    ]
    A = ex.SparseMatrix.from_scipy(read(shared, "csv", f"{name}_spde_A.mtx"))

    def precision(log_kappa, log_tau):
        k2 = jnp.exp(2 * log_kappa)
        c0, g1, g2 = parts
        return jnp.exp(2 * log_tau) * (k2 * k2 * c0 + 2 * k2 * g1 + g2)

    return precision, A


def gaussian_spde(shared, name: str, y, X, truth) -> Reference:
    precision, A = spde(shared, name)
    p = X.shape[1]
    model = LatentGaussianModel(
        lambda theta: precision(theta[p], theta[p + 1]),
        A,
        Gaussian(),
        y,
        parameters=lambda theta: {"sd": jnp.exp(-theta[p + 2] / 2)},
        offset=lambda theta: jnp.asarray(X) @ theta[:p],
    )
    return reference(model, truth)


def meuse(shared) -> Reference:
    d = read(shared, "csv", "meuse.csv")
    X = np.c_[np.ones(len(d)), np.sqrt(d.dist)]
    truth = truth_of(shared, "rtmb_spde", "meuse_ML")
    return gaussian_spde(shared, "meuse", np.log(d.zinc.to_numpy(float)), X, truth)


def spdetoy(shared) -> Reference:
    d = read(shared, "csv", "spdetoy.csv")
    truth = truth_of(shared, "rtmb_spde", "spdetoy_ML")
    return gaussian_spde(shared, "spdetoy", d.y.to_numpy(float), np.ones((len(d), 1)), truth)


def parana(shared) -> Reference:
    d = read(shared, "csv", "parana_precip_january_mean.csv")
    precision, A = spde(shared, "parana")
    model = LatentGaussianModel(
        lambda theta: precision(theta[1], theta[2]),
        A,
        Gamma(),
        d.mean_jan.to_numpy(float),
        parameters=lambda theta: {"shape": jnp.exp(theta[3])},
        offset=lambda theta: theta[0],
    )
    return reference(model, truth_of(shared, "rtmb_spde", "parana_gamma_ML"))


def leukaemia(shared) -> Reference:
    d = read(shared, "csv", "leuk.csv")
    M0, M1, M2 = (
        ex.SymmetricMatrix.from_scipy(read(shared, "csv", f"leuk_spde_{part}.mtx"))
        for part in ("M0", "M1", "M2")
    )
    m, n = len(d), M0.shape[0]
    X = np.c_[np.ones(m), d[["sex", "age", "wbc", "tpi"]]]
    A = ex.SparseMatrix.from_coo(np.arange(m), d.mesh_vertex.to_numpy() - 1, np.ones(m), (m, n))

    def latent(theta):
        k2 = jnp.exp(2 * theta[6])
        return k2 * k2 * M0 + 2 * k2 * M1 + M2

    model = LatentGaussianModel(
        latent,
        lambda theta: jnp.exp(-theta[5]) * A,
        Weibull(event=d.cens.to_numpy()),
        d.time.to_numpy(float),
        parameters=lambda theta: {"shape": jnp.exp(theta[7])},
        offset=lambda theta: jnp.asarray(X) @ theta[:5],
    )
    return reference(model, truth_of(shared, "rtmb_spde", "leuk_weibull_spde"))
