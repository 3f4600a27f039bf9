"""What presents and publishes a model."""
