"""What any State must remember of updates; part of :class:`wherry.testing.state_contract.StateContract`."""

from __future__ import annotations

from wherry.errors import StateError
from wherry.model.update import ROLLED_BACK, UPDATED, BadDigest, KeptImage, Update
from wherry.state.updates import MOST_UPDATES
from wherry.testing.state_builders import Refused, event, statuses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.state.protocol import State

IMAGE = "registry.example/web:1"


class UpdateContract:
    """History, bad digests and kept images."""

    def test_history_is_read_newest_first(self, state: State) -> None:
        first = Update(container="web", image=IMAGE, result=ROLLED_BACK, reason="unhealthy", old_digest="sha256:a")
        second = Update(container="db", image="other", result=UPDATED)
        third = Update(container="web", image=IMAGE, result=UPDATED, time_ns=7)
        numbers = [state.add_update(update) for update in (first, second, third)]
        assert numbers == sorted(set(numbers))
        stored = [update.replace(seq=seq) for update, seq in zip((first, second, third), numbers, strict=True)]
        assert state.updates() == stored[::-1]
        assert state.updates("web") == [stored[2], stored[0]]
        assert state.updates("web", limit=1) == [stored[2]]
        assert state.updates(limit=2) == [stored[2], stored[1]]
        assert state.updates("nobody") == []

    def test_an_update_and_its_event_are_one_change(self, state: State) -> None:
        state.add_update(Update(container="web"), event("auto-update"))
        assert statuses(state) == ["auto-update"]
        with Refused(StateError, "no: container state improper"), state.transaction():
            state.add_update(Update(container="web"), event("auto-update"))
            raise StateError("no")
        assert len(state.updates()) == 1
        assert statuses(state) == ["auto-update"]

    def test_history_is_bounded(self, state: State) -> None:
        with state.transaction():
            for number in range(MOST_UPDATES + 3):
                state.add_update(Update(container="web", time_ns=number))
        assert [update.time_ns for update in state.updates()] == list(range(MOST_UPDATES + 2, 2, -1))

    def test_bad_digests_are_remembered_once(self, state: State) -> None:
        bad = BadDigest(image=IMAGE, digest="sha256:b", reason="did not start", time_ns=1)
        state.add_bad_digest(bad)
        state.add_bad_digest(bad.replace(digest="sha256:a"))
        again = bad.replace(reason="unhealthy", time_ns=2)
        state.add_bad_digest(again)
        assert state.bad_digests() == [bad.replace(digest="sha256:a"), again]
        state.forget_bad_digest(IMAGE, "sha256:a")
        state.forget_bad_digest(IMAGE, "sha256:a")
        assert state.bad_digests() == [again]

    def test_only_the_newest_images_are_kept(self, state: State) -> None:
        def kept(name: str, time: int, image: str = IMAGE) -> KeptImage:
            return KeptImage(image=image, id=name, digest=f"sha256:{name}", time_ns=time)

        for number, name in enumerate("abc", start=1):
            state.keep_image(kept(name, number), 2)
        state.keep_image(kept("z", 9, "other"), 2)
        assert state.kept_images() == [kept("z", 9, "other"), kept("c", 3), kept("b", 2)]
        state.keep_image(kept("b", 4), 2)       # kept again: it counts as new
        assert [one.id for one in state.kept_images()] == ["z", "b", "c"]
        state.release_image(IMAGE, "b")
        state.release_image(IMAGE, "b")
        assert [one.id for one in state.kept_images()] == ["z", "c"]
        state.keep_image(kept("d", 5), 0)
        assert [one.id for one in state.kept_images()] == ["z"]
