"""FP16 typing and INT8 quantization of a graph: calibration, placement, Q/DQ pairs."""
