"""Where pictures come from: an archive, a folder of photos, or the project's own drawings."""
