"""Words of pod commands."""

from __future__ import annotations

from wherry.cli.pods_create import infra_command


def test_the_infra_command_is_split_at_blanks_unless_it_is_a_list() -> None:
    assert infra_command("sleep 1000") == ["sleep", "1000"]
    assert infra_command('["sleep", "10 00"]') == ["sleep", "10 00"]
