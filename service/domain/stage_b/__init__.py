"""How a ticket is judged, without I/O: plan and rollouts, evidence, scores, selection, early stop, release, guidance."""
