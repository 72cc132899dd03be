"""From a job to its finished picture: checkpoints, events, and the public Python functions."""
