"""The scripts behind every number in the README and the docs: each prints a table and can save it as JSON."""
