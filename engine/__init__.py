"""vLLM as a resource: flags of a hardware profile, managed process, HTTP client, scripted double."""
