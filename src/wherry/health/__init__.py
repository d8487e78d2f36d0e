"""Health checks: when probes are due and what their results mean (pure), who calls for them, and the log of results.

``schedule`` decides, ``log`` keeps results, ``timers`` arranges for probes to be run: by systemd where it is the init
system, else by one process per user and engine (``supervisor``).  What a probe does to a container is the engine's
business (:mod:`wherry.engine.healthcheck`).
"""
