"""`edge-adder evaluate`: labelled images, and how well a model reads them."""
