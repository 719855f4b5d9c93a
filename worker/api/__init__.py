"""The HTTP service: page, join tokens, /chat, /synthesize, health. Does not know the agent."""
