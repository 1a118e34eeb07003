"""Make a model and its endpoint."""
