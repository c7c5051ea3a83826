"""What a study costs on this machine: measured, kept in a file, compared, drawn.

Nothing here prints. Every backend and precision is measured in a process of its own (`worker`), so
that its peak memory and its first study are its own; `suite` puts them together, with the verdict
whether the answers stayed the same beside each time.
"""
