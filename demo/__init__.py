"""Run the whole project on the laptop: make demo, make soak, the notebook."""
