"""The model side of training: examples to tensors, packing, attention, the loss inside ``forward``, tuners."""
