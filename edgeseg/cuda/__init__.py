"""The CUDA seam: memory, streams, events and graphs; only `driver` imports a CUDA binding."""
