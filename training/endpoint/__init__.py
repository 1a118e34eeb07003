"""The training job, the model and the endpoint."""
