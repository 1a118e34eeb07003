"""Draw vehicles with Pillow, so that the project has pictures of its own to learn from."""
