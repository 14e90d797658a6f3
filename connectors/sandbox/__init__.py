"""Each system as a small HTTP server with the vendor's manners, for trying things out and for tests."""
