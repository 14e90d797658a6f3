"""Kafka as the log: lanes are transactional producers, rows a compacted changelog, ownership is a group."""
