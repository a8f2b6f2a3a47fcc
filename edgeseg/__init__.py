"""edgeseg: from photos of good parts to a defect mask for every camera frame."""

__version__ = "0.1.0"
