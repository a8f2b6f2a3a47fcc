"""Measurements of a model on this machine: latency, and the time of each layer."""
