"""The product under random faults: its processes, its Redis, the faults, and the check of what became of every ticket."""
