"""Images, layers and storage-containers on disk, in the containers/storage layout other engines share.

What this package promises:

* Podman, Buildah, Skopeo and CRI-O may work on the same store at the same time; everybody sees the truth under the
  same locks (OFD locks that conflict with their POSIX locks) and tells the others by the 64-byte token.
* A process may die at any moment.  A record is flagged incomplete before its files are touched and cleared when they
  are whole; whoever next opens the layers for writing removes what was left.
* A layer made from a tar gives back that very tar, bit for bit.
* Nothing is removed that a container or image of any engine still uses.

Locks are taken in one order only (:mod:`wherry.storage.locking`): storage, layers, images, containers; the lock of
the mount counts is innermost under layers.
"""
