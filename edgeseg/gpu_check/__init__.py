"""The checks of `edgeseg doctor --gpu`: what only a GPU can tell."""
