"""The domain language that trainer, registry and service share. Pure Python with pydantic and Pillow."""
