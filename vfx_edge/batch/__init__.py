"""Many studies on one machine: what there is to do, worker processes that keep their networks
open, results a folder each, and one summary.

studies -> which studies a folder, file or list holds; plan -> which of them are to be done;
engine -> who does them (a Protocol: worker processes here); worker -> their program; run -> the
whole; summary -> its tables and its page.
"""
