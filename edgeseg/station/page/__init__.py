"""The page of a station: pictures, verdicts, figures, parts to review, recipes, start and stop."""
