"""Send pictures into the workflow's inbox, as a stream or a burst, and find out the outcome of each."""
