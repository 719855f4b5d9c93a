"""The application around the voice."""
