"""The scanner console's service: studies come in, results go out, and nothing is lost between.

    listener, watcher ──► spool (folders) + queue (SQLite) ──► worker ──► sender ──► destinations

A study is in the spool before its sender is told that it arrived; what a step has finished is one
rename; what is to be done next is one row on the disk. So the process may be killed at any moment.

    in       listener (a DICOM node), wire (what a stranger may cost); watcher (a drop folder),
             dropped (what lies in an item), taking (from there to jobs), kept (what was taken)
    kept     incoming (being received), arrivals (what has come, by content), spool (jobs),
             intake (when a study is complete), queue, disk, results, housekeeping
    done     loop (how work is taken and settled), worker (analyses), sender, transmit (C-STORE,
             STOW-RS)
    seen     worklist (rows), show (words), http, metrics, page/
    all      settings, daemon (the parts as one process)
"""
