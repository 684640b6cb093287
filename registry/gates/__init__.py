"""Gates: what a version must have shown before an alias points to it, how it is promoted, and the way back.

Gates read reports; they make none, except smoke-serve. Where versions, aliases and referrers are kept is the registry's.
"""
