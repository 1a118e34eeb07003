"""HTML pages, each a single file without external resources."""
