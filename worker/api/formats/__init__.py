"""What sound is sent as: PCM in, files and streams of many kinds out. Knows neither HTTP nor voices."""
