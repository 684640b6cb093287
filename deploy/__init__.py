"""What brings the product up: the demonstration, later images, compose files and charts."""
