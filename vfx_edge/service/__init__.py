"""The scanner console's service: studies come in, results go out, and nothing is lost between.

    receive/ ──► store/: spool (folders) + queue (SQLite) ──► worker ──► send/ ──► destinations

A study is in the spool before its sender is told that it arrived; a finished step is one rename;
what is to be done next is one row on the disk. So the process may be killed at any moment.

    receive/   listener (DICOM node), limits (of connections), instance_head (what came); watcher
               (drop folder), item_files (files of a dropped item), item_import (from there to
               jobs), taken_items
    store/     incoming_studies (being received), identifiers, spool (jobs), completion (when a
               study is complete), queue, durable_files, results, retention
    worker     has studies analysed, by queue_loop (takes entries, records outcomes), as send/ does
    analyse/   processes that analyse: child (its own side), parent (the service's), chain, turns
               (who may run beside whom)
    send/      sender, transmit (C-STORE, STOW-RS)
    web/       worklist (rows), rendering (words), live_list, server, metrics, page/
    for all    settings, reasons (what may be shown of an error), daemon (the parts as one process)
"""
