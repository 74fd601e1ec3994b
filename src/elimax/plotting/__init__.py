"""Pictures; they need matplotlib, which the extra `plotting` installs."""

from elimax.plotting.graph import draw_graph as draw_graph
from elimax.plotting.spy import spy as spy
