"""Tiles in the graph: cutting, joining, and what makes their maps comparable."""
