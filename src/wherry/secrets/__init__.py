"""Secrets: small pieces of data that containers get and nothing else shows.

What this package promises:

* Metadata and data are written atomically and readable by their owner only (0600 below a 0700 directory).
* The data never appears in an error, a log line, an event or an inspect tree; only :meth:`SecretStore.data` gives it.
* Drivers keep the data: ``file`` in files of this engine, ``pass`` with GnuPG and pass(1), ``shell`` by the commands
  the user names.  The metadata is always this engine's.
"""
