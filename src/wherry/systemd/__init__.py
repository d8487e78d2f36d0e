"""systemd units: text for containers and pods, and the units that ship with wherry."""
