"""Streaming: frames from a camera, video or folder through a model to a video, file or window."""
