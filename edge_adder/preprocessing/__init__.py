"""Picture → uint8 (28, 28), as MNIST was made: a file for each step, in this order.

    prepare                          the recipe
    decode, arrays, pixels           any source → small pictures in 8 bits
    mnist_format                     an image that needs no preparation
    page                             crop to a page that lies on something darker
    segment                          where the ink is, by the steps of the next line
    polarity, background, threshold, ruled_lines, components, digits, score
    normalize                        stroke width, 20×20, centre of mass

`morphology` is what several steps share.
"""
