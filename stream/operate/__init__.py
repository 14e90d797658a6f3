"""What an operator sees of a worker: counts, lag, health."""
