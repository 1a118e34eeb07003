"""What people decide about pictures whose answer was not certain enough."""
