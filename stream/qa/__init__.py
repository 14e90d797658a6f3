"""Statements are tried out: each flow's promises as scenarios, against sandboxes or test accounts, by a real worker."""
