"""`tts-ops plan`: how many engines, workers and nodes a number of calls takes, from measured figures."""
