"""`tts-ops load`: many clients or callers at once, against a running installation, from outside."""
