"""The optimization loop: levels, sweeps, patches, steps."""
