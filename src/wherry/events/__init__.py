"""Events: publishing them, reading them back, filtering and showing them.

The state package commits events together with the changes they speak of; this package hands them on to the event log
(a file of JSON lines, the systemd journal, or nothing) and reads that log.  Files and journal entries have Podman's
format, so that tools made for one read the other.
"""
