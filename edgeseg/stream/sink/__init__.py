"""Where results go: video, JSON lines, window."""
