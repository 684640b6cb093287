"""What a benchmark measures against: our API, our service, a stub engine, a dummy checkpoint."""
