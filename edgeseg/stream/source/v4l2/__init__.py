"""Cameras on Linux through the kernel's own interface, Video4Linux (V4L2)."""
