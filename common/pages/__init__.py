"""Pages to look at: each is one HTML file without anything from elsewhere."""
