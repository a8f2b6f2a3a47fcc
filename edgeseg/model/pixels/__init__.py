"""The ends of the exported graph: camera bytes to the network's picture, its map to mask bytes."""
