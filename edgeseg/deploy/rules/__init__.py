"""What TensorRT refuses or does badly, as rules over a typed graph; lint.py applies them."""
