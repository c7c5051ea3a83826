"""The reader's mode: cases served blinded on a page of this machine, and what is said of them.

    case ──► stack (its pictures) ──► session (order, passes, clock) ──► log (readings.csv)
                                          ▲
                                        server ◄── page/ in the reader's browser

Before the first answer of a case the browser gets pictures about the vertebra and the case's place
in a random order, and nothing else: no name, no level, no label, nothing that the program said.
"""
