"""Jacobians by vertex elimination: structured partial derivatives on the edges of a program's graph."""
