"""Sources of frames: USB, CSI and network cameras, GStreamer, videos, image files, test images."""
