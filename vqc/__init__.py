"""The domain language that trainer, registry and service must agree on. Pure Python, pydantic and Pillow."""
