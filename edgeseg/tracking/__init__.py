"""Metrics, settings and pictures of trainings, for the trackers that people look at."""
