"""The log in one SQLite file: one process writes it, with one thread; others read it or ask."""
