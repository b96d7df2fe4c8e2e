"""`edge-adder serve`: the model on a port, and a page to draw on.

Needs the extra ``serve``. `app` has the routes; every request comes through `journal` and `guard`
to them.
"""
