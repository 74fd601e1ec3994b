"""Floats: JAX primitives over a fixed structure."""

from elimax._primitive import jax_version as jax_version  # first: refuses a JAX that is too old
