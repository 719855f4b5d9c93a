"""The watcher's eyes and hands: what it reads of workers and LiveKit, and how it acts. It decides in watcher.py."""
