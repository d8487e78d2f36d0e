"""Networks: definitions, address leases, drivers, published ports, hosts and resolv.conf text.

Two drivers of one protocol: ``native`` (netlink, one nftables table, aardvark-dns) and ``netavark``; ``choose`` picks.
Both keep :mod:`wherry.testing.network_contract`.

Promises: attaching either works or leaves nothing half-made; detaching is idempotent and never makes the caller wait
for the kernel to tear interfaces down; an address is leased to one container at a time.
"""
