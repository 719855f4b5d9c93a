"""The browser call: static files that the HTTP service serves at `/`. A package only so that it ships in the wheel."""
