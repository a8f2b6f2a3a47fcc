"""Industrial cameras through Aravis: GigE Vision and USB3 Vision."""
