"""Many pictures → a table of answers; loaded by `edge-adder score` alone, with the extra `score`.

Inputs → rows → batches → an engine's answers → parts. Nothing else imports it.
"""
