"""The lines of a station: a camera each, judged by a recipe, every result recorded."""
