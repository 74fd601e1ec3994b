"""Where a linear function has its nonzeros, from its jaxpr."""
