"""Kafka as the log: lanes are transactional producers, rows are a compacted changelog, ownership is a consumer group."""
