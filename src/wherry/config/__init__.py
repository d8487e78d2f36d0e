"""Configuration: the files of the containers family, the environment and the command line as one immutable value.

:func:`wherry.config.load.load` reads containers.conf and storage.conf with everything that may override them and
returns :class:`wherry.config.settings.Settings`.  Registries and credentials are read when somebody needs them.  This
is the only package that looks at the process's environment.  What parsing gave is remembered on tmpfs together with
what it was read from, so that a command started with nothing changed parses no TOML.
"""
