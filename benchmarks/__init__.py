"""Scripts behind every figure in the README and the docs; each prints a table and can keep it as JSON."""
