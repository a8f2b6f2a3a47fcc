"""What lies where in a frame: pixel formats, sizes, regions of interest, tiles and the part."""
