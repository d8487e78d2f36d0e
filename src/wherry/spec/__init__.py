"""Every option of a container defined once, and the way from words to an OCI runtime specification.

Three types and two pure functions in between:

* ``ContainerSpec`` (:mod:`~wherry.spec.container_spec`): what was asked; unset is ``None`` and differs from false.
* ``ContainerConfig`` (:mod:`wherry.model.container`): complete and immutable; what is stored.
* the OCI runtime specification (version 1.0.2) as a plain dictionary.

``parse.from_flags`` and ``parse_keywords.from_keywords`` make the first, ``resolve.resolve`` turns it into the second
and ``compile.compile`` into the third.  The option table (:mod:`~wherry.spec.options`) is the only place where a
flag's name, kind, default, help text, field and Python keyword are written down.

Nothing here changes anything on the host.  What must be looked at (env files, mount flags of a source, device nodes)
is asked of objects the caller passes in; :class:`wherry.spec.host.Lookup` is the one that asks the real host.
"""
