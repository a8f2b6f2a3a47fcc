"""An inspection station: cameras and recipes, a journal of every verdict, and who is told of it."""
