"""Everything about one GPU within ten minutes: what is right there, how fast it is, and what holds it up."""
