"""What ``run`` and ``create`` load for their options stays small."""

import subprocess
import sys
from pathlib import Path

import wherry

SOURCE = str(Path(wherry.__file__).parents[1])
FORBIDDEN = (
    "typing dataclasses enum re json logging asyncio inspect pathlib subprocess tempfile shutil contextlib collections "
    "datetime functools hashlib socket sqlite3 ssl tomllib urllib3 ctypes"
).split()
#: loaded only when an option asks for them
RARE = ("idmaps", "resolve_users", "resolve_health", "parse_health", "parse_keywords", "expand", "unsupported")

PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from wherry.config.settings import EngineSettings, Settings
from wherry.spec.compile import compile
from wherry.spec.host import HostFacts, ImageFacts, Lookup, StartFacts
from wherry.spec.parse import from_flags
from wherry.spec.resolve import resolve

flags = {"memory": "512m", "publish": ["8080:80"], "volume": ["/:/host:ro"], "env": ["A=1"], "rm": True, "name": "x"}
image = ImageFacts(id="f", name="localhost/a:1", raw_name="a:1", document={"config": {"Cmd": ["sh"]}})
settings = Settings(engine=EngineSettings(cgroup_manager="cgroupfs"))
capabilities = tuple("CAP_" + name for name in settings.containers.default_capabilities)
host = HostFacts(capabilities=capabilities, bounding=capabilities)
config = resolve(from_flags(flags, "a:1"), image, settings, host, id="0" * 64, name="x", lookup=Lookup())
assert compile(config, StartFacts(root="/r"))["process"]["args"] == ["sh"]
print(" ".join(sys.modules))
"""


def test_imports_of_a_typical_run():
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PROGRAM, SOURCE], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert not loaded.intersection(FORBIDDEN)
    assert not loaded.intersection(f"wherry.spec.{name}" for name in RARE)
