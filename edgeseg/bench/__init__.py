"""Latency with its method: percentiles, machine, versions."""
