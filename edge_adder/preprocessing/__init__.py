"""Picture → uint8 (28, 28), as MNIST was made: a file for each step, in this order.

    prepare                          the recipe
    decode, arrays, pixels           any source → small pictures in 8 bits
    mnist_format                     an image that needs no preparation
    segment                          where the digits are, by the ink model and the next line
    background, threshold, components, inks, digits, polarity
    normalize                        stroke width, 20×20, centre of mass

`morphology` is what several steps share.
"""
