"""The page and the server on which people decide the pictures in review."""
