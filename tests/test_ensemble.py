"""The demonstration: an ensemble of random fields, beside dense algebra, in one process and in two."""

import os
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import ensemble

THETA = jnp.array([-0.4, 0.3])


def _dense_log_likelihood(theta, G, x):
    K = jnp.exp(2 * theta[0]) * jnp.eye(len(x)) + G.todense()
    y = jnp.exp(theta[1]) * K @ x
    logdet_Q = 2 * jnp.linalg.slogdet(K)[1] + 2 * len(x) * theta[1]
    return (logdet_Q - y @ y - len(x) * jnp.log(2 * jnp.pi)) / 2


def test_log_likelihood(rng):
    G, x = ensemble.laplacian(5), jnp.asarray(rng.normal(size=25))
    np.testing.assert_allclose(G.todense() @ np.ones(25), 0, atol=1e-15)
    K = np.asarray(ensemble.operator(G, THETA).todense())
    np.testing.assert_allclose(K, np.exp(-0.8) * np.eye(25) + G.todense())
    covariance = np.linalg.inv(np.exp(0.6) * K @ K)
    expected = scipy.stats.multivariate_normal(cov=covariance).logpdf(x)
    np.testing.assert_allclose(ensemble.log_likelihood(THETA, G, x), expected, rtol=1e-12)
    for derivative in (jax.grad, jax.hessian):
        got, expected = (
            jax.jit(derivative(f))(THETA, G, x)
            for f in (ensemble.log_likelihood, _dense_log_likelihood)
        )
        np.testing.assert_allclose(got, expected, rtol=1e-10)


def test_simulated_fields_have_the_precision():
    """K x tau is white."""
    G, key = ensemble.laplacian(6), jax.random.key(3)
    x = ensemble.simulate(G, THETA, key)
    white = jnp.exp(THETA[1]) * (ensemble.operator(G, THETA) @ x)
    np.testing.assert_allclose(white, jax.random.normal(key, (36,)), rtol=1e-12)


def test_one_process(capsys):
    assert ensemble.main(["--members", "32", "--side", "16"]) == 0
    printed = capsys.readouterr().out
    assert "process 0: fields 0 to 31" in printed
    row = re.search(r"mean score, in errors +(\S+) +(\S+)", printed)
    assert row is not None and max(abs(float(z)) for z in row.groups()) < 4


def test_two_processes():
    options = ["--processes=2", "--members=8", "--side=12"]
    done = subprocess.run(
        [sys.executable, ensemble.__file__, *options],
        env={name: value for name, value in os.environ.items() if name != "XLA_FLAGS"},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "process 0: fields 0 to 3" in done.stdout
    assert "process 1: fields 4 to 7" in done.stdout
    difference = re.search(r"difference between their results (\S+)", done.stdout)
    assert difference is not None and float(difference[1]) < 1e-12


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--processes 2 --members 7", "--members must be a multiple of --processes"),
        ("--members 1", "--members must be at least 2"),
        ("--processes 0", "--processes must be at least 1, got 0"),
        ("--processes 2 --coordinator localhost:1", "--process-id and --coordinator go together"),
        ("--processes 2 --process-id 1", "--process-id and --coordinator go together"),
    ],
)
def test_options_that_do_not_fit_are_errors(options, sentence, capsys):
    with pytest.raises(SystemExit):
        ensemble.main(options.split())
    assert sentence in capsys.readouterr().err
