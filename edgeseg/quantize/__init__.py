"""FP16 typing, and INT8: calibration, placement and Q/DQ pairs."""
