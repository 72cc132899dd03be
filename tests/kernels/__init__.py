"""Tests of kernels in Triton, which its interpreter runs on a host."""
