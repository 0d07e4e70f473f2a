"""Deep autoencoder: restricted Boltzmann machines pretrain it layer by layer (Hinton and Salakhutdinov 2006)."""
