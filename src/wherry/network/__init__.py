"""Networks: definitions, address leases, drivers, published ports, hosts and resolv.conf text.

Promises: attaching either works or leaves nothing half-made; detaching is idempotent and never makes the caller wait
for the kernel to tear interfaces down; an address is leased to one container at a time.
"""
