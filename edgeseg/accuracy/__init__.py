"""What a lower precision costs on the same frames, the gate that limits it, and `verify`."""
