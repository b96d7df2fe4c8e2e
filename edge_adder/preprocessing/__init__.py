"""Picture → uint8 (28, 28), as MNIST was made; the stages, a file each."""
