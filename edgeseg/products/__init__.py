"""Train every product folder of a line: a run, a report, a graph and an engine for each."""
