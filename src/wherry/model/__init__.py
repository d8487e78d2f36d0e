"""The vocabulary: ids, references, digests, configurations, states, events.  No I/O happens in this package.

Nothing here imports ``typing``, ``dataclasses`` or ``re`` at run time: these modules are on the start-up path of
every command, and those three cost more than the rest of wherry together.
"""
