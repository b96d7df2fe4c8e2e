"""What the model makes of pictures that are unlike MNIST."""
