"""The solvers inside of optimistix and diffrax, beside the dense solvers that those take by default."""
