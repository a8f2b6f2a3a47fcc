"""GStreamer pipelines: CSI cameras, RTSP cameras, and those of the user."""
