"""Outputs of a station: who is told of verdicts, one file for each kind."""
