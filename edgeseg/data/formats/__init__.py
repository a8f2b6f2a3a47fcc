"""The image formats that are read: PNG, JPEG, TIFF and BMP."""
