"""Pictures; they need matplotlib, which the extra `plotting` installs."""

from elimax.plotting.spy import spy as spy
