"""Gaussian Markov random fields and what is built on them."""
