"""The demonstration: the sample photos through the whole product on this machine."""
