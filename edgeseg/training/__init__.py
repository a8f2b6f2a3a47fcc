"""Train a detector on good images: losses, phases, checkpoints."""
