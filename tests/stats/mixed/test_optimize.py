"""The search for theta on functions whose minima are known."""

import numpy as np
import pytest

from elimax.stats.mixed.optimize import minimize

ONE, TWO = ((9, 1),), ((9, 2),)


def quartic(minimum: float):
    """In theta squared, as criteria are: smallest where theta^2 is `minimum`, or at 0 if that is negative."""

    def criterion(theta):
        rest = theta**2 - minimum
        return float(np.sum(rest**2)), 4 * theta * rest

    return criterion


@pytest.mark.parametrize("minimum", [-2.0, -1e-3, 1e-3, 0.5, 30.0, 1e4])
def test_one_variance(minimum):
    found = minimize(quartic(minimum), ONE)
    assert found.converged and found.theta[0] == pytest.approx(np.sqrt(max(minimum, 0)), rel=1e-4)
    assert minimum > 0 or found.theta[0] == 0.0


def test_a_saddle_at_zero_is_left():
    """From zero all derivatives point nowhere, by symmetry: curvature shows the way."""

    def criterion(theta):  # the start is a stationary point, too
        away = theta[0] ** 2 - 4.0
        return float(away**2 * (1 + theta[1] ** 2)), np.array(
            [4 * theta[0] * away * (1 + theta[1] ** 2), 2 * theta[1] * away**2]
        )

    found = minimize(criterion, ((3, 1), (3, 1)))
    assert found.converged and found.theta[0] == pytest.approx(2.0)

    def double_well(x):
        return float((x[1] ** 2 - 1) ** 2 + (x[0] - 1) ** 2), np.array(
            [2 * (x[0] - 1), 4 * x[1] * (x[1] ** 2 - 1)]
        )

    found = minimize(double_well, ONE, others=np.zeros(1))
    assert found.converged and abs(found.theta[1]) == pytest.approx(1.0, rel=1e-6)


def test_signs_are_those_of_positive_diagonals():
    """The criterion knows T T^T only; whichever sign a column ends with, its diagonal is made positive."""
    target = np.array([[2.0, -1.0], [-1.0, 0.75]])

    def criterion(theta):
        T = np.array([[theta[0], 0], [theta[1], theta[2]]])
        G = 4 * (T @ T.T - target) @ T
        return float(np.sum((T @ T.T - target) ** 2)), np.array([G[0, 0], G[1, 0], G[1, 1]])

    found = minimize(criterion, TWO)
    np.testing.assert_allclose(found.theta, [np.sqrt(2), -np.sqrt(0.5), 0.5], rtol=1e-5)


def test_further_parameters():
    def criterion(x):
        theta, beta = x[0], x[1:]
        value = (theta**2 - 0.25) ** 2 + np.sum((beta - [3.0, -7.0]) ** 2) * (1 + theta**2)
        slope = 4 * theta * (theta**2 - 0.25) + 2 * theta * np.sum((beta - [3.0, -7.0]) ** 2)
        return float(value), np.concatenate([[slope], 2 * (beta - [3.0, -7.0]) * (1 + theta**2)])

    found = minimize(criterion, ONE, others=np.zeros(2))
    np.testing.assert_allclose(found.theta, [0.5, 3, -7], rtol=1e-5)


def test_where_it_cannot_be_computed():
    def walled(theta):
        if theta[0] > 1.01:
            return np.nan, np.full(1, np.nan)
        return quartic(-1.0)(theta)

    assert minimize(walled, ONE).theta[0] == 0.0
    with pytest.raises(ValueError, match="the criterion is nan where the search starts"):
        minimize(lambda theta: (np.nan, theta), ONE)


def test_what_has_no_minimum_does_not_converge():
    found = minimize(lambda theta: (-float(theta[0]), -np.ones(1)), ONE)
    assert not found.converged


def test_reports_count_iterations_and_end_with_the_smallest():
    reports = []
    found = minimize(quartic(0.3), ONE, report=lambda *step: reports.append(step))
    assert [step[1] for step in reports] == list(range(1, len(reports) + 1))
    assert {step[0] for step in reports} <= {"L-BFGS-B", "Newton"}
    assert found.value <= min(step[2] for step in reports) + 1e-12
    assert found.evaluations < 40
