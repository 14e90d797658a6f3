"""Turn changes in one system into writes in the others."""
