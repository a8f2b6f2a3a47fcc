"""From score, mask and map to a verdict, by thresholds and by a rule for regions."""
