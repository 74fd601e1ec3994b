"""Pictures of computational graphs."""

import jax.numpy as jnp
import matplotlib
import pytest

import elimax as ex
from elimax.plotting import draw_graph

matplotlib.use("Agg")


def test_vertices_are_drawn_by_their_depth(tmp_path):
    f = lambda x, y: (jnp.sin(x * y) + y, jnp.exp(3.0), jnp.ones(2))  # noqa: E731
    axes = draw_graph(ex.computational_graph(f, 1.0, 2.0, argnums=(0, 1)))
    places = {text.get_text(): text.get_position() for text in axes.texts if text.get_text()}
    assert set(places) == {"x0", "x1", "1 mul", "2 sin", "3 add"}
    assert [places[name][0] for name in ("x0", "x1", "1 mul", "2 sin", "3 add")] == [0, 0, 1, 2, 3]
    arrows = [text for text in axes.texts if not text.get_text()]
    assert len(arrows) == 5
    figure = axes.get_figure()
    figure.savefig(tmp_path / "graph.png")
    assert (tmp_path / "graph.png").stat().st_size > 5_000
    other = figure.add_subplot()
    assert draw_graph(ex.computational_graph(jnp.sin, 1.0), other) is other


@pytest.mark.parametrize("f", [lambda x: 3.0, lambda x: x])
def test_graphs_without_edges(f):
    axes = draw_graph(ex.computational_graph(f, 1.0))
    assert [text.get_text() for text in axes.texts] == ["x0"]
