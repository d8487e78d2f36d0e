"""Container logs: reading what conmon wrote, as lines or in bulk, once or while it is being written.

Drivers: ``k8s-file`` (``json-file`` is another name for it) is a file of records, ``journald`` the systemd journal;
with ``none`` and ``passthrough`` nothing was kept.
"""
