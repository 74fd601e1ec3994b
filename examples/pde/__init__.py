"""Nonlinear problems whose Jacobians are sparse: what newton.py, stiff_ode.py and bundle_adjustment.py solve.

- `bratu`: combustion in the unit square, a nonlinear system with one parameter
- `brusselator`: two chemicals that react and diffuse on a torus, a stiff ODE
- `bundle`: bundle adjustment, least squares over cameras and points
- `adjoint`: implicit Runge-Kutta steps of diffrax with sparse derivatives
- `measuring`: compile time, run time and memory, each variant in a process of its own
"""
