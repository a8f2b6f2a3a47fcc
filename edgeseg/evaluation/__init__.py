"""How good a model is, and where its threshold belongs."""
