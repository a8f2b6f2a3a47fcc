"""ROIs in the graph."""
