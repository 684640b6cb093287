"""What the service decides, without I/O."""
