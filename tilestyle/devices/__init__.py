"""Memory, threads, settings and failures of the devices that compute."""
