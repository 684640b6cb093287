"""The outside world, behind the use cases' needs."""
