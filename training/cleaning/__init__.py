"""Find and remove what the project created."""
