"""Send pictures into the workflow's inbox, as a stream or a burst, and learn where each went."""
