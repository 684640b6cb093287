"""The queue's door: takes jobs, many at a time, until told to leave."""
