"""The model side of training: encoding, batches, packing, attention, the loss inside ``forward``, adapters."""
