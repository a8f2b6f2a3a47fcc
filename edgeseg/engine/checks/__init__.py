"""Checks of a typed graph for what TensorRT rejects or computes badly."""
