"""Recipes that follow a tag of a registry: the tag, the settings, and which model runs now."""
