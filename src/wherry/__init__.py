"""wherry: a daemonless OCI container engine.

    import wherry

    with wherry.Runtime() as rt:
        print(rt.containers.run("alpine:3.22", ["echo", "hi"], remove=True).stdout)

Names are looked up lazily: importing the package costs next to nothing.
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.engine.container import Container as Container
    from wherry.engine.image import Image as Image
    from wherry.engine.pod import Pod as Pod
    from wherry.engine.runtime import Runtime as Runtime
    from wherry.engine.volume import Volume as Volume
    from wherry.errors import WherryError as WherryError
    from wherry.registry.progress_events import ProgressEvent as ProgressEvent
    from wherry.registry.progress_events import ProgressEvents as ProgressEvents

_PUBLIC = {
    "Runtime": "wherry.engine.runtime",
    "Container": "wherry.engine.container",
    "Image": "wherry.engine.image",
    "Pod": "wherry.engine.pod",
    "Volume": "wherry.engine.volume",
    "ProgressEvent": "wherry.registry.progress_events",
    "ProgressEvents": "wherry.registry.progress_events",
    "WherryError": "wherry.errors",
}

__all__ = [
    "Container", "Image", "Pod", "ProgressEvent", "ProgressEvents", "Runtime", "Volume", "WherryError", "__version__",
]


def __getattr__(name: str) -> object:
    module = _PUBLIC.get(name)
    if module is None:
        raise AttributeError(f"module 'wherry' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value
