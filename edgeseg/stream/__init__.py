"""Frames from a camera, a video or a folder; masks to a video, a file or a window."""
