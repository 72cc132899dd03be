"""Benchmarks: measure on this machine what a render costs."""
