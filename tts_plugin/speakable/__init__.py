"""How written text is spoken, one noun a file; tts_plugin/text.py is the face that everybody else uses."""
