"""vLLM as a resource: hardware profile to flags, managed process, HTTP client, scripted double."""
