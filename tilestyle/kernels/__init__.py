"""Kernels of our own for NVIDIA GPUs, in Triton, where torch would need many.

Each does what a few lines of torch do everywhere else, and is tested against them. Triton comes with torch for
CUDA on Linux; without it, or where a kernel cannot be built, torch's own operations are used.
"""
