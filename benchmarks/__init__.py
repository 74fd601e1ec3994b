"""Elimax's times next to those of its peers: see README.md, and `python -m benchmarks --help`."""
