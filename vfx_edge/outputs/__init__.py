"""What goes out: a table of kinds, each a module with `write(request) -> paths`.

Everything is written whole or not at all; failures are `OutputError` leaves.
"""
