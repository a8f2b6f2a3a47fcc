"""Facts about this machine: processor, GPU, clocks, and the support matrix."""
