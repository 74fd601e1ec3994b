"""Latent Gaussian models of the shared data, in the parametrization of the peers that fitted them.

Each function returns a `Reference`: the model, and what the peer found. A parameter vector is flat, in the
order in which the peer lists it.
"""

import json
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import scipy.io
import scipy.sparse as sp
import scipy.special

import elimax as ex
from elimax.stats.gaussian import GMRF, NullSpace, independent
from elimax.stats.laplace import LatentGaussianModel
from elimax.stats.likelihood import (
    Binomial,
    Gamma,
    Gaussian,
    Hurdle,
    Likelihood,
    NegativeBinomial1,
    NegativeBinomial2,
    Ordinal,
    Poisson,
    Tweedie,
    Weibull,
    ZeroInflated,
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

    def latent(theta):
        log_sd = theta[-g:]
        return ex.SymmetricMatrix.diags(
            jnp.concatenate(
                [jnp.full(k, jnp.exp(-2 * s)) for k, s in zip(sizes, log_sd, strict=True)]
            )
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


def meuse_reml(shared) -> Reference:
    """The fixed effects are latent, with flat priors."""
    d = read(shared, "csv", "meuse.csv")
    X = np.c_[np.ones(len(d)), np.sqrt(d.dist)]
    precision, A = spde(shared, "meuse")
    nothing = ex.SymmetricMatrix.diags(jnp.zeros(2))
    flat = GMRF(0.0, nothing, null_space=NullSpace.unit(2, [0, 1]))
    model = LatentGaussianModel(
        lambda theta: independent(precision(theta[0], theta[1]), flat),
        ex.block([[A, ex.SparseMatrix.from_dense(X)]]),
        Gaussian(),
        np.log(d.zinc.to_numpy(float)),
        parameters=lambda theta: {"sd": jnp.exp(-theta[2] / 2)},
    )
    return reference(model, truth_of(shared, "rtmb_spde", "meuse_REML"))


def salamanders(shared, name: str, likelihood, X, **split) -> Reference:
    d = read(shared, "csv", "salamanders.csv")
    truth = read(shared, "truth", "glmmtmb.json")["models"][f"salamanders_{name}"]
    par = truth["par"]
    order = ("beta", "betazi", "betad", "theta")
    theta = [v for kind in order for key, v in par.items() if key.split(".")[0] == kind]
    model = iid_groups(likelihood, d["count"], X, [d.site], **split)
    return Reference(model, np.array(theta), truth["nll"], truth)


def salamander_designs(shared) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Species, whether a site is not mined, and both with their interaction; the day of the year."""
    d = read(shared, "csv", "salamanders.csv")
    levels = ["GP", "PR", "DM", "EC-A", "EC-L", "DES-L", "DF"]
    one = np.ones((len(d), 1))
    species = np.stack([(d.spp == level).to_numpy(float) for level in levels[1:]], axis=1)
    unmined = (d.mined == "no").to_numpy(float)[:, None]
    additive = np.hstack([one, species, unmined])
    return (
        np.hstack([one, unmined]),
        additive,
        np.hstack([additive, species * unmined]),
        np.c_[one, d.DOY.to_numpy(float)],
    )


def salamanders_poisson(shared) -> Reference:
    return salamanders(shared, "poisson", Poisson(), salamander_designs(shared)[2])


def salamanders_nbinom1(shared) -> Reference:
    X = salamander_designs(shared)[2]
    phi = {"dispersion": lambda t: jnp.exp(t[0])}
    return salamanders(shared, "nbinom1", NegativeBinomial1(), X, **phi)


def salamanders_nbinom2(shared) -> Reference:
    X = salamander_designs(shared)[2]
    phi = {"dispersion": lambda t: jnp.exp(t[0])}
    return salamanders(shared, "nbinom2", NegativeBinomial2(), X, **phi)


def salamanders_zip(shared) -> Reference:
    X = salamander_designs(shared)[0]
    split = {"zero_logit": lambda t: jnp.asarray(X) @ t}
    return salamanders(shared, "zip", ZeroInflated(Poisson()), X, **split)


def salamanders_zinb(shared) -> Reference:
    _, X, _, D = salamander_designs(shared)
    split = {
        "zero_logit": lambda t: jnp.asarray(X) @ t[:8],
        "dispersion": lambda t: jnp.exp(jnp.asarray(D) @ t[8:]),
    }
    return salamanders(shared, "zinb_disp", ZeroInflated(NegativeBinomial2()), X, **split)


def salamanders_hurdle(shared) -> Reference:
    _, X, _, _ = salamander_designs(shared)
    split = {
        "zero_logit": lambda t: jnp.asarray(X) @ t[:8],
        "dispersion": lambda t: jnp.exp(t[8]),
    }
    return salamanders(shared, "hurdle_truncnb2", Hurdle(NegativeBinomial2()), X, **split)


def salamander_mating(shared) -> Reference:
    d = read(shared, "csv", "salamander_mating.csv")
    X = np.c_[np.ones(len(d)), d[["fW", "mW", "WW"]]]
    model = iid_groups(Binomial(), d.y, X, [d.female, d.male])
    truth = read(shared, "truth", "glmmtmb.json")["models"]["salamander_mating_pooled_modelA"]
    return Reference(model, np.array(list(truth["par"].values())), truth["nll"], truth)


def ar1(n: int, rho) -> ex.SymmetricMatrix:
    """Innovations of variance one, stationary."""
    inside = jnp.full(n, 1 + rho**2).at[jnp.array([0, n - 1])].set(1.0)
    return ex.SymmetricMatrix.diags([inside, jnp.full(n - 1, -rho)], [0, -1], (n, n))


def seatbelts(shared) -> Reference:
    d = read(shared, "csv", "seatbelts.csv")
    months = np.stack([(d.month == k).to_numpy(float) for k in range(2, 13)], axis=1)
    X = np.c_[np.ones(192), np.log(d.PetrolPrice), np.log(d.kms), d["law"], months]
    model = LatentGaussianModel(
        lambda theta: jnp.exp(-2 * theta[16]) * ar1(192, jnp.tanh(theta[15] / 2)),
        None,
        Poisson(),
        d.DriversKilled.to_numpy(float),
        offset=lambda theta: jnp.asarray(X) @ theta[:15],
    )
    return reference(model, truth_of(shared, "rtmb_more", "seatbelts_poisson_ar1"))


def mcycle(shared) -> Reference:
    d = read(shared, "csv", "mcycle.csv")
    index = np.round(d.times / 0.4).astype(int).to_numpy()
    index = index - index.min()
    n = index.max() + 1
    D = sp.diags_array([1.0, -2.0, 1.0], offsets=[0, 1, 2], shape=(n - 2, n))
    R = ex.SymmetricMatrix.from_scipy(sp.csc_array(D.T @ D))
    space = NullSpace.polynomial(np.arange(n), 1)
    m = len(d)
    model = LatentGaussianModel(
        lambda theta: GMRF(0.0, jnp.exp(theta[0]) * R, null_space=space),
        ex.SparseMatrix.from_coo(np.arange(m), index, np.ones(m), (m, n)),
        Gaussian(),
        d.accel.to_numpy(float),
        parameters=lambda theta: {"sd": jnp.exp(-theta[1] / 2)},
    )
    return reference(model, truth_of(shared, "rtmb_more", "mcycle_rw2"))


def socatt(shared) -> Reference:
    d = read(shared, "csv", "socatt.csv")
    X = d[["x1", "x2", "x3"]].to_numpy(float)
    Z = ex.SparseMatrix.from_scipy(sp.csc_array(indicators(d.group)))
    n = Z.shape[1]
    model = LatentGaussianModel(
        lambda theta: jnp.exp(-2 * theta[3]) * ex.SymmetricMatrix.eye(n),
        Z,
        Ordinal(),
        d.y.to_numpy(float) - 1,
        parameters=lambda theta: {
            "cutpoints": jnp.cumsum(jnp.append(theta[4], jnp.exp(theta[5:])))
        },
        offset=lambda theta: jnp.asarray(X) @ theta[:3],
    )
    return reference(model, truth_of(shared, "rtmb_more", "socatt_ordinal"))


def ar1_4d(shared) -> Reference:
    """TMB's example leaves the factorials out."""
    y = read(shared, "csv", "ar1_4d_counts.csv").N.to_numpy(float)

    def latent(theta):
        phi = jnp.tanh(theta[0])
        one = ar1(8, phi) / (1 - phi**2)
        plane = ex.kron(one, one)
        return ex.kron(plane, plane)

    model = LatentGaussianModel(latent, None, Poisson(), y)
    truth = truth_of(shared, "rtmb_more", "ar1_4D")
    whole = truth["nll_laplace"] + scipy.special.gammaln(y + 1).sum()
    return Reference(model, np.array(list(truth["par"].values())), whole, truth)


def pcod(shared) -> Reference:
    """Tweedie catches; a field in space, and one for every year."""
    d = read(shared, "csv", "pcod.csv")
    c0, g1, g2 = (
        ex.SymmetricMatrix.from_scipy(read(shared, "csv", f"pcod_spde_{part}.mtx"))
        for part in ("c0", "g1", "g2")
    )
    A = read(shared, "csv", "pcod_spde_A.mtx")
    years = indicators(d.year)
    X = np.c_[years.toarray(), d.depth_scaled, d.depth_scaled2]
    p, T = X.shape[1], years.shape[1]
    by_year = [sp.diags_array(years[:, [t]].toarray().ravel()) @ A for t in range(T)]

    def latent(theta):
        k2 = jnp.exp(2 * theta[p + 2])
        Q = k2 * k2 * c0 + 2 * k2 * g1 + g2
        each = jnp.exp(2 * theta[p + 1]) * Q
        return independent(jnp.exp(2 * theta[p]) * Q, *[each] * T)

    model = LatentGaussianModel(
        latent,
        ex.SparseMatrix.from_scipy(sp.csc_array(sp.hstack([A, *by_year]))),
        Tweedie(),
        d.density.to_numpy(float),
        parameters=lambda theta: {
            "power": 1 + jax.nn.sigmoid(theta[p + 3]),
            "dispersion": jnp.exp(theta[p + 4]),
        },
        offset=lambda theta: jnp.asarray(X) @ theta[:p],
    )
    truth = truth_of(shared, "sdmtmb_pcod", "tweedie_spatiotemporal_iid")
    return Reference(model, np.array(list(truth["par"].values())), truth["nll"], truth)


def lattice(shared) -> Reference:
    y = read(shared, "csv", "lattice50_poisson_counts.csv").y.to_numpy(float)
    truth = read(shared, "truth", "rtmb_scaling.json")["runs"]["m50"]
    return Reference(lattice_model(50, y), np.array(truth["par"]), truth["objective"], truth)


def lattice_model(side: int, y) -> LatentGaussianModel:
    path = sp.diags_array([-1.0, 1.0], offsets=[0, 1], shape=(side - 1, side))
    G = sp.csc_array(sp.kronsum(path.T @ path, path.T @ path))
    n = side * side
    eye = sp.eye_array(n)
    parts = [ex.SymmetricMatrix.from_scipy(sp.csc_array(B)) for B in (eye, G, G @ G)]

    def latent(theta):
        k2 = jnp.exp(2 * theta[1])
        return jnp.exp(2 * theta[2]) * (k2 * k2 * parts[0] + 2 * k2 * parts[1] + parts[2])

    return LatentGaussianModel(latent, None, Poisson(), y, offset=lambda theta: theta[0])


def scotland_bym2(shared) -> Reference:
    """b ~ ICAR with its level free, v iid; theta: beta, log sigma, logit phi."""
    d = read(shared, "csv", "scotland_lip.csv")
    R = ex.SymmetricMatrix.from_scipy(laplacian(read(shared, "csv", "scotland_edges.csv"), 56))
    scale = read(shared, "truth", "rtmb_areal_smoothing.json")["scotland_scale_factor"]
    eye = ex.SymmetricMatrix.eye(56)

    def latent(theta):
        variance = jnp.exp(2 * theta[1])
        structured = scale / (variance * jax.nn.sigmoid(theta[2]))
        unstructured = 1 / (variance * jax.nn.sigmoid(-theta[2]))
        b = GMRF(0.0, structured * R, null_space=NullSpace.constant(56))
        return independent(b, unstructured * eye)

    both = ex.SparseMatrix.eye(56)
    model = LatentGaussianModel(
        latent,
        ex.block([[both, both]]),
        Poisson(d.E.to_numpy()),
        d.Counts.to_numpy(float),
        offset=lambda theta: theta[0] * jnp.asarray(d.X.to_numpy() / 10),
    )
    return reference(model, truth_of(shared, "rtmb_areal_smoothing", "scotland_bym2"))
