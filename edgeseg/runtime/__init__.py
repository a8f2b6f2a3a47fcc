"""Graphs that run: one seam (`base.Backend`), one file for each runtime."""
