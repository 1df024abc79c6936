"""Model calls: OpenAI-compatible completions, their prices, and the loop over tools."""
