"""Run the workflow: send pictures, watch, review, restart, draw, estimate the cost."""
