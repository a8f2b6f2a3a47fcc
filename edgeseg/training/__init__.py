"""From good images to weights: losses, the two phases, checkpoints."""
