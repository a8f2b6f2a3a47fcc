"""Images, data set layouts and synthetic anomalies, with NumPy and OpenCV."""
