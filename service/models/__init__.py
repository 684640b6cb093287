"""The served models: routing, swaps, canary and shadow, the response cache, versions of the registry."""
