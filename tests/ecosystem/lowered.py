"""What is in a program before XLA touches it."""

import math
import re

import jax


def largest_array(function, *arguments) -> int:
    """Elements of the largest array that a function computes with, in all of its branches and loops."""
    text = jax.jit(function).lower(*arguments).as_text()
    shapes = re.findall(r"tensor<((?:\d+x)+)[a-z]", text)
    return max(math.prod(map(int, shape.strip("x").split("x"))) for shape in shapes)
