"""The scanner console's service: studies come in, results go out, and nothing is lost between.

    listener, watcher ──► spool (folders) + queue (SQLite) ──► worker ──► sender ──► destinations

A study is in the spool before its sender is told that it arrived; what a step has finished is one
rename; what is to be done next is one row on the disk. So the process may be killed at any moment.
"""
