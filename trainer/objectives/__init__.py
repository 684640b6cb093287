"""The objectives of distillation as pure functions of tensors. Each names its formula and its source."""
