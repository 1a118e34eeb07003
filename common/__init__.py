"""What several parts of the project share."""
