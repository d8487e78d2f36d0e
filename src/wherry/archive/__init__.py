"""Tar and layer streams: compression, reading and writing tar, safe extraction, tar-split, differences of trees.

What the package promises:

* Nothing it extracts or reads by a name from an archive lies outside the root directory it was given, whatever
  symbolic links the tree contains and whoever changes them meanwhile (:mod:`wherry.archive.tree`).
* Layer content on disk is what containers/storage would have written for the same tar, and the tar-split written beside
  it gives the same tar back, bit for bit (:mod:`~wherry.archive.extract`, :mod:`~wherry.archive.tarsplit`).
* Archives are read once, as streams; memory use depends on neither the size of an archive nor that of a file in it.

The package knows nothing of stores, images or containers; names inside archives are :class:`bytes` throughout.
"""
