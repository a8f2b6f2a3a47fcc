"""Frames that are kept with what was found in them: under a quota, to judge again, to train on."""
