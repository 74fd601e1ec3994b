"""Sparse matrices in PyMC: sudden infant deaths in North Carolina, smoothed by an intrinsic autoregression.

    deaths_i ~ Poisson(births_i exp(level + x_i)),    x ~ ICAR(tau), which sums to zero in each component

The field has a sparse precision, and its density, gradient included, is a sparse Cholesky factorization. PyMC
sees it as one Op; here its own NUTS samples, `nuts_sampler="numpyro"` does it in JAX.

    python examples/pymc_icar.py
"""

import pathlib
from typing import NamedTuple

import arviz
import jax
import numpy as np
import pymc as pm
import scipy.io

import elimax.stats.pymc as esp
from elimax import stats

DATA = pathlib.Path(__file__).parent / "data"


class Counties(NamedTuple):
    names: np.ndarray
    deaths: np.ndarray
    births: np.ndarray
    neighbors: scipy.sparse.spmatrix


def load() -> Counties:
    """The counties in 1974-78."""
    path = DATA / "nc_sids.csv"
    columns = path.open().readline().strip().replace('"', "").split(",")
    table = np.loadtxt(path, delimiter=",", skiprows=1, dtype=str, quotechar='"')
    column = {name: table[:, i] for i, name in enumerate(columns)}
    return Counties(
        column["name"],
        column["SID74"].astype(float),
        column["BIR74"].astype(float),
        scipy.io.mmread(DATA / "nc_sids_W.mtx"),
    )


def build(counties: Counties) -> pm.Model:
    """The model: the rate of deaths per birth, on the log scale, is a level and a field."""
    walk = stats.precision.besag(counties.neighbors)
    with pm.Model(coords={"county": counties.names}) as model:
        level = pm.Normal("level", -6, 2)
        sd = pm.HalfNormal("sd", 1)
        x = esp.field("x", walk, sd**-2, dims="county")
        rate = pm.Deterministic("rate", pm.math.exp(level + x), dims="county")
        pm.Poisson("deaths", counties.births * rate, observed=counties.deaths)
    return model


def sample(
    counties: Counties, draws: int = 1000, sampler: str = "pymc", seed: int = 0
) -> arviz.InferenceData:
    """The posterior, by NUTS."""
    with build(counties):
        return pm.sample(
            draws,
            tune=draws // 2,
            chains=2,
            cores=1,
            nuts_sampler=sampler,
            random_seed=seed,
            progressbar=False,
        )


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    counties = load()
    posterior = sample(counties)
    print(arviz.summary(posterior, var_names=["level", "sd"]))
    rate = 1000 * posterior["posterior"]["rate"].mean(("chain", "draw")).values
    crude = 1000 * counties.deaths / counties.births
    print("deaths per 1000 births        crude  smoothed")
    for i in np.argsort(-rate)[:5]:
        print(f"{counties.names[i]:<28}{crude[i]:7.2f}{rate[i]:10.2f}")


if __name__ == "__main__":
    main()
