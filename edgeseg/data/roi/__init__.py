"""Regions of interest from files: masks, JSON, and the files of labeling tools."""
