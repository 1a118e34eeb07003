"""The benchmark of pictures of neither class."""
