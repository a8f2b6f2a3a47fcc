"""Sinks for results: video, window, JSON lines."""
