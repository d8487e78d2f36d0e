"""``wherry pod create``."""

from __future__ import annotations

from wherry.cli.flags import Flag, FlagSet, UsageError
from wherry.cli.pods import flattened
from wherry.cli.targets import finish
from wherry.errors import InvalidArgument, WherryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from wherry.cli.call import Call
    from wherry.spec.container_spec import ContainerSpec
    from wherry.spec.pod_spec import PodSpec

OWN = (
    Flag("exit-policy", metavar="policy", default="continue",
         help="What the pod does when its last container ends: continue or stop"),
    Flag("infra", kind="bool", default="true", help="Give the pod an infra container that holds what members share"),
    Flag("infra-command", metavar="command", help="Run this in the infra container"),
    Flag("infra-conmon-pidfile", metavar="file", help="Write the process id of the infra container's monitor here"),
    Flag("infra-image", metavar="image", help="Make the infra container from this image"),
    Flag("infra-name", metavar="name", help="Name of the infra container"),
    Flag("name", "n", metavar="name", help="Give the pod this name"),
    Flag("pod-id-file", metavar="path", help="Write the pod's id to this file"),
    Flag("replace", kind="bool", help="Remove a pod that has the name already and take its place"),
    Flag("share", metavar="namespaces", default="ipc,net,uts",
         help="Namespaces the members share: cgroup, ipc, net, pid, uts, none; +NAME adds one to the usual"),
    Flag("share-parent", kind="bool", default="true", help="Put the members' control groups below the pod's"),
)


CLONE_OWN = (
    Flag("destroy", kind="bool", help="Remove the original pod"),
    Flag("name", "n", metavar="name", help="Give the new pod this name"),
    Flag("start", kind="bool", help="Start the new pod"),
    *(flag for flag in OWN if flag.name in ("infra-command", "infra-conmon-pidfile", "infra-name")),
)
_OWN_NAMES = frozenset(flag.name for flag in (*OWN, *CLONE_OWN))


def CLONE() -> FlagSet:
    """The flags of ``pod clone``."""
    from wherry.cli.option_flags import flag_of
    from wherry.spec.options import BY_NAME
    from wherry.spec.pod_spec import CLONE_OPTIONS

    return FlagSet([*CLONE_OWN, *(flag_of(BY_NAME[name], for_help=False) for name in CLONE_OPTIONS)])


def clone(call: Call) -> int:
    """Create a pod with the configuration of another and print its id."""
    flags = call.flags
    old = call.runtime.pods.get(call.args[0])
    from wherry.spec.pod_spec import PodSpec

    made = old.clone_from_spec(PodSpec(
        name=call.args[1] if len(call.args) > 1 else flags.text("name"), container=_container(call), **_shared(call)
    ))
    if flags.on("destroy"):
        old.remove(force=True)
    errors: list[WherryError] = []
    if flags.on("start"):
        try:
            made.start()
        except WherryError as error:
            errors = flattened(error)
    call.out(made.id + "\n")
    return finish(errors)


def CREATE() -> FlagSet:
    """The pod's own flags and those of ``create`` that shape what members share."""
    from wherry.cli.option_flags import flag_of
    from wherry.spec.options import BY_NAME
    from wherry.spec.pod_spec import CONTAINER_OPTIONS

    return FlagSet([*OWN, *(flag_of(BY_NAME[name], for_help=False) for name in CONTAINER_OPTIONS)])


def create(call: Call) -> int:
    """Create a pod and print its id."""
    call.out(call.runtime.pods.create_from_spec(read_spec(call)).id + "\n")
    return 0


def read_spec(call: Call) -> PodSpec:
    """The specification the command line asks for. Raises :class:`UsageError`, ``InvalidArgument``."""
    from wherry.spec.pod_spec import PodSpec, share

    flags = call.flags
    name = flags.text("name")
    if call.args:
        if name:
            raise UsageError("cannot specify a name both as argument and with --name", see=False)
        name = call.args[0]
    shared = share(flags.text("share")) if flags.given("share") else None
    return PodSpec(
        name=name,
        container=_container(call),
        exit_policy=flags.text("exit-policy") if flags.given("exit-policy") else None,
        # podman-pod-create(1): nothing to share, no infra container, unless that is asked for
        infra=flags.on("infra") and (shared != [] or flags.given("infra")),
        infra_image=flags.text("infra-image") if flags.given("infra-image") else None,
        pod_id_file=flags.text("pod-id-file"),
        replace_existing=flags.on("replace"),
        share=shared,
        share_parent=flags.on("share-parent"),
        **_shared(call),
    )


def _container(call: Call) -> ContainerSpec:
    """What the options of containers ask for. Raises :class:`UsageError`, ``InvalidArgument``."""
    from wherry.config.environment import environ
    from wherry.spec.parse import from_flags

    own = call.flags.flags.owns
    values = {key: value for key, value in call.flags.values.items() if own(key) and key not in (*_OWN_NAMES, "help")}
    try:
        return from_flags(values, "", (), environment=environ())
    except InvalidArgument as error:
        if error.message.startswith('invalid argument "') and '" flag: ' in error.message:
            raise UsageError(error.message) from None
        raise


def _shared(call: Call) -> dict[str, Any]:
    """The fields ``pod create`` and ``pod clone`` both have flags for."""
    flags = call.flags
    return {
        "create_command": list(call.argv),
        "infra_command": infra_command(flags.text("infra-command")) if flags.given("infra-command") else None,
        "infra_name": flags.text("infra-name"),
        "infra_conmon_pid_file": flags.text("infra-conmon-pidfile"),
    }


def infra_command(text: str) -> list[str]:
    """The infra container's command: a JSON list, or words with blanks between them, as Podman splits it."""
    from wherry.spec.parse_process import words

    return words(text) if text.lstrip()[:1] == "[" else text.split(" ")
