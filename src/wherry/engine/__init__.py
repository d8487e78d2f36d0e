"""The engine: Runtime and its nouns.  Every verb is written once, here; command line, service, kube, units and updates
call it.

Rules (INVARIANTS.md): configuration is immutable; only a :class:`~wherry.engine.locked.LockedContainer` mutates;
entering a lock reconciles with reality; no lock is held across a wait; state and event change in one transaction;
what was begun is undone on failure and recoverable after a crash.
"""
