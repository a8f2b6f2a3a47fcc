"""Metrics, operating points (thresholds) and the comparison of models."""
