"""Sources of pictures: an archive, a folder of photos, drawings, and reviewed pictures."""
