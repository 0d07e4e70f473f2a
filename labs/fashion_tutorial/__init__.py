"""Fashion-MNIST by a dense autoencoder, and its codes in the plane: see README.md."""
