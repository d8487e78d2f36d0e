"""Engine state: containers, pods, volumes, exec sessions, exit codes, intents and the event outbox.

The package owns the :class:`~wherry.state.protocol.State` protocol and its two implementations: ``SqliteState``
(:mod:`wherry.state.sqlite`), the database every process of an engine shares, and ``MemoryState``
(:mod:`wherry.state.memory`).  Both pass the contract suite of :mod:`wherry.testing.state_contract`.

Promises: every mutating method is atomic, alone or inside ``transaction()``; events given to it are committed with
it or not at all; a committed change survives the death of any process at any moment; what is read back never shares
an object with what was saved.
"""
