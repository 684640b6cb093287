"""What distillation minimises, as pure functions of tensors: each names its formula and where it comes from."""
