"""Networks, losses, optimizers and training, in torch; no tables, and configs only in `build`."""
