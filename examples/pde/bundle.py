"""Bundle adjustment: where cameras stood and points lie, from the pictures that the cameras took of them.

A camera has a rotation vector w, a translation t and the logarithm s of its focal length; it sees the point x
of space at y[:2] / y[2] exp(s), with y = R(w) x + t (a pinhole). Residuals are the differences to what was
observed, in standard deviations. Observations alone leave open where the world is, how it is turned and how
large it is: seven directions in which nothing changes. Priors on the poses of the first two cameras hold them
fast, and one on every focal length keeps it near 1.

The data are synthetic: a ring of cameras around a rough sphere, where every point is seen by the cameras that
are nearest to it.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

import elimax as ex

PARAMETERS = 7  # of a camera: rotation, translation, log of the focal length
FIXED = 2  # cameras whose poses are known
NOISE = 1e-3  # of an observation, in focal lengths


class World(NamedTuple):
    """The unknowns, and the first argument of `residuals`; as lineax flattens them, cameras come first."""

    cameras: Float[Array, "cameras 7"]
    points: Float[Array, "points 3"]


class Pictures(NamedTuple):
    """What was observed: `seen[k]` is where `camera[k]` sees `point[k]`; `poses` are those known before."""

    camera: Int[np.ndarray, " observations"]
    point: Int[np.ndarray, " observations"]
    seen: Float[Array, "observations 2"]
    poses: Float[Array, "2 6"]


def rotate(w: Float[Array, 3], x: Float[Array, 3]) -> Float[Array, 3]:
    """Rodrigues' formula, with its limits at w = 0."""
    square = jnp.sum(w * w)
    small = square < 1e-12
    angle = jnp.sqrt(jnp.where(small, 1.0, square))
    first = jnp.where(small, 1 - square / 6, jnp.sin(angle) / angle)
    second = jnp.where(small, 0.5 - square / 24, (1 - jnp.cos(angle)) / angle**2)
    turned = jnp.cross(w, x)
    return x + first * turned + second * jnp.cross(w, turned)


def project(camera: Float[Array, 7], x: Float[Array, 3]) -> Float[Array, 2]:
    y = rotate(camera[:3], x) + camera[3:6]
    return jnp.exp(camera[6]) * y[:2] / y[2]


def residuals(world: World, pictures: Pictures) -> Float[Array, " m"]:
    seen = jax.vmap(project)(world.cameras[pictures.camera], world.points[pictures.point])
    known = world.cameras[:FIXED, :6] - pictures.poses
    parts = [(seen - pictures.seen) / NOISE, known / 1e-4, world.cameras[:, 6] / 0.1]
    return jnp.concatenate([part.reshape(-1) for part in parts])


def pattern(world: World, pictures: Pictures) -> ex.Pattern:
    """Of the Jacobian: an observation depends on its camera and its point, a prior on one number."""
    cameras, observations = len(world.cameras), len(pictures.camera)
    row = np.arange(2 * observations)[:, None]
    camera = PARAMETERS * np.repeat(pictures.camera, 2)[:, None] + np.arange(PARAMETERS)
    point = PARAMETERS * cameras + 3 * np.repeat(pictures.point, 2)[:, None] + np.arange(3)
    known = PARAMETERS * np.arange(FIXED)[:, None] + np.arange(6)
    focal = PARAMETERS * np.arange(cameras) + 6
    columns = [camera, point, known, focal]
    priors = 2 * observations + np.arange(known.size + cameras)
    rows = [row + 0 * camera, row + 0 * point, priors]
    shape = (2 * observations + priors.size, PARAMETERS * cameras + world.points.size)
    return ex.Pattern.from_coo(
        np.concatenate([part.reshape(-1) for part in rows]),
        np.concatenate([part.reshape(-1) for part in columns]),
        shape,
    )


def simulate(cameras: int, points: int, views: int = 6, seed: int = 0) -> tuple[World, Pictures]:
    """The truth, and pictures of it with every point seen by `views` cameras."""
    rng = np.random.default_rng(seed)
    angle = 2 * np.pi * np.arange(cameras) / cameras
    poses = np.zeros((cameras, PARAMETERS))
    poses[:, 1], poses[:, 5] = -angle, 6.0  # turned about the vertical, six radii away
    direction = rng.normal(size=(points, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    truth = World(jnp.asarray(poses), jnp.asarray(direction * rng.uniform(0.8, 1.2, (points, 1))))

    centers = -6.0 * np.column_stack([np.sin(angle), 0 * angle, np.cos(angle)])
    distance = np.linalg.norm(np.asarray(truth.points)[:, None] - centers, axis=2)
    camera = np.sort(np.argsort(distance, axis=1)[:, :views], axis=1).reshape(-1)
    point = np.repeat(np.arange(points), views)
    seen = jax.vmap(project)(truth.cameras[camera], truth.points[point])
    seen = seen + NOISE * rng.normal(size=seen.shape)
    return truth, Pictures(camera, point, seen, truth.cameras[:FIXED, :6])


def disturbed(truth: World, seed: int = 1) -> World:
    """Where to start: the truth, and errors that the residuals feel by some hundred standard deviations."""
    rng = np.random.default_rng(seed)
    cameras = 0.02 * rng.normal(size=truth.cameras.shape)
    cameras[:FIXED, :6] = 0
    return World(truth.cameras + cameras, truth.points + 0.05 * rng.normal(size=truth.points.shape))
