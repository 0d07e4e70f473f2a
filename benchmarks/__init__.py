import utils  # noqa: F401  before torch, which reads when it is loaded how OpenMP's threads shall wait
