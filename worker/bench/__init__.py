"""Measures a running installation from the caller's side, with a real WebRTC caller."""
