"""What tests of several levels share: servers to start, models and tickets to build, suites to run over an adapter."""
