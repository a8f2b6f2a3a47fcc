"""Sources of frames: cameras, network streams, GStreamer, videos, folders, a synthetic one."""
