"""The search for the best recipe of these parts, within a budget of minutes."""
