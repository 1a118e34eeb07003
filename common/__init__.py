"""Code that several parts of the project share."""
