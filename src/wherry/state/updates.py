"""What a database remembers of updates: history, bad digests, images kept to go back to."""

from __future__ import annotations

from wherry.model.jsontext import loads
from wherry.state.containers import ContainerTable
from wherry.state.rows import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from wherry.model.event import Event
    from wherry.model.update import BadDigest, KeptImage, Update

#: Updates remembered; older ones are forgotten.
MOST_UPDATES = 1000


class UpdateTable(ContainerTable):
    """What :class:`~wherry.state.protocol.State` says of updates."""

    def add_update(self, update: Update, *events: Event) -> int:
        """Add to the history; returns the number it got. The oldest beyond :data:`MOST_UPDATES` go."""
        with self.transaction():
            seq = self._insert(
                "INSERT INTO updates(container, record) VALUES (?, ?)",
                (update.container, encode(update.to_json())),
            )
            self._change("DELETE FROM updates WHERE seq<=?", (seq - MOST_UPDATES,))
            self._record(events)
        return seq

    def updates(self, container: str = "", limit: int = 0) -> list[Update]:
        """The history, newest first: of one container (by name) or of all, at most *limit* entries (0: all)."""
        from wherry.model.update import Update

        where, values = ("WHERE container=? ", [container]) if container else ("", [])
        rows = self._rows(
            f"SELECT seq, record FROM updates {where}ORDER BY seq DESC LIMIT ?", (*values, limit or -1)
        )
        return [Update.from_json({**loads(record), "seq": seq}) for seq, record in rows]

    def add_bad_digest(self, bad: BadDigest) -> None:
        """Remember a digest of an image as bad; what was known of it before is replaced."""
        with self.transaction():
            self._change(
                "INSERT OR REPLACE INTO bad_digests(image, digest, record) VALUES (?, ?, ?)",
                (bad.image, bad.digest, encode(bad.to_json())),
            )

    def bad_digests(self) -> list[BadDigest]:
        """Every digest remembered as bad, by image and digest."""
        from wherry.model.update import BadDigest

        rows = self._rows("SELECT record FROM bad_digests ORDER BY image, digest")
        return [BadDigest.from_json(loads(row[0])) for row in rows]

    def forget_bad_digest(self, image: str, digest: str) -> None:
        """The digest is not bad after all. Forgetting twice is fine."""
        with self.transaction():
            self._change("DELETE FROM bad_digests WHERE image=? AND digest=?", (image, digest))

    def keep_image(self, kept: KeptImage, most: int) -> None:
        """Keep an image to go back to; of those kept for one reference only the *most* newest stay kept."""
        with self.transaction():
            self._change(
                "INSERT OR REPLACE INTO kept_images(image, id, time_ns, record) VALUES (?, ?, ?, ?)",
                (kept.image, kept.id, kept.time_ns, encode(kept.to_json())),
            )
            self._change(
                "DELETE FROM kept_images WHERE image=?1 AND id NOT IN "
                "(SELECT id FROM kept_images WHERE image=?1 ORDER BY time_ns DESC, id LIMIT ?2)",
                (kept.image, most),
            )

    def kept_images(self) -> list[KeptImage]:
        """Images kept to go back to, newest first."""
        from wherry.model.update import KeptImage

        rows = self._rows("SELECT record FROM kept_images ORDER BY time_ns DESC, image, id")
        return [KeptImage.from_json(loads(row[0])) for row in rows]

    def release_image(self, image: str, identity: str) -> None:
        """The image *identity* need not be kept for the reference *image* any longer."""
        with self.transaction():
            self._change("DELETE FROM kept_images WHERE image=? AND id=?", (image, identity))
