"""Solvers of other libraries, each an `ExternalSolver` of a few lines; copy one to bring your own.

`elimax.adapters.superlu`, `pyamg`, `cholmod` and `pardiso` import their libraries, and nothing else of Elimax
imports them.
"""
