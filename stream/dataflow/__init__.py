"""Customers' dataflow documents: reading them, working them into topics.yaml, and writing them from flows."""
