"""Verdicts by regions in evaluations: region scores, and new rules."""
