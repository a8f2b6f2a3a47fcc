"""Model repositories of inference servers, from a graph or an engine."""
