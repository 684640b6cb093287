"""Gates: what a version must prove before an alias points to it, its promotion, and the rollback.

Gates read reports; except for smoke-serve they produce none. The registry stores versions, aliases and referrers.
"""
