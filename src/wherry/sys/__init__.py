"""The kernel, as the rest of wherry sees it: files, locks, processes, mounts, namespaces, cgroups, terminals.

This is the only package that calls libc, names a system call, mounts or enters a namespace.  It knows nothing of
containers.  Modules used by every command (:mod:`files`, :mod:`processes`, :mod:`locks`, :mod:`cgroups`) load no
foreign-function machinery; :mod:`libc` loads it at the first call.  System call failures surface as :class:`OSError`
with the path concerned; callers turn them into wherry errors with what they were doing.
"""
