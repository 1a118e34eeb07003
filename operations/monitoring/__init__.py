"""What an endpoint has been doing: read from its captured calls, and compared with training."""
