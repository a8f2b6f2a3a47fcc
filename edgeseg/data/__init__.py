"""Images in: folders, layouts, synthetic anomalies and their textures. NumPy and OpenCV only."""
