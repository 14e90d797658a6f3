"""What a worker serves over HTTP: a page for people, metrics and health for monitoring."""
