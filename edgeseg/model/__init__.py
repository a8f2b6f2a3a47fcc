"""The networks, and the fused graph that is exported: frame in, mask out."""
