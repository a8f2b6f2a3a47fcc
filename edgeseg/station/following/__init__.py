"""Recipes that follow a tag of a registry: their settings, and which model each runs now."""
