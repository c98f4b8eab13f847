"""Where a hook may lead: to nobody's inside, however its name is spelled and whatever it resolves to."""

import ipaddress
import socket

from iris import settings

# What stands in front of an IPv4 address where another network is asked to reach it (RFC 6052).
NAT64 = ipaddress.ip_network("64:ff9b::/96")
LOCAL_NAT64 = ipaddress.ip_network("64:ff9b:1::/48")
COMPATIBLE = ipaddress.ip_network("::/96")


class Inside(Exception):
    """An address that hooks may not lead to."""


def meant(address):
    """Return the addresses that an address may lead to: itself, and an IPv4 one that it has in it."""
    found = [address]
    if address.version == 6:
        if address in NAT64 or address in COMPATIBLE:
            found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        found += [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    return [each for each in found if each is not None]


def is_inside(address):
    """Whether an address is no public one: loopback, private, link-local, shared, multicast, reserved, …"""
    if address.version == 6 and address.ipv4_mapped:
        # It is that one, and nothing else.
        return is_inside(address.ipv4_mapped)
    if address.version == 6 and (address in LOCAL_NAT64 or address.is_site_local):
        return True
    return any(
        not each.is_global or each.is_multicast or each.is_reserved or each.is_unspecified
        for each in meant(address)
        if not (each.version == 6 and each in NAT64)
    )


def is_allowed(address, networks):
    """Whether a setting names an address."""
    mapped = getattr(address, "ipv4_mapped", None) or address
    return any(mapped in network for network in networks if network.version == mapped.version)


def resolve(host, port):
    """Find out where a host is, once; what is returned is to be connected to, and nothing else.

    Returns:  [(family, address as connect() takes it)].
    Raises:   Inside where one of them is; OSError.
    """
    networks = settings.get("IRIS_HOOKS_INSIDE")
    found = []
    for family, _, _, _, where in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        address = ipaddress.ip_address(where[0].partition("%")[0])
        if is_inside(address) and not is_allowed(address, networks):
            raise Inside(
                f"{host} is {address}, which is inside: IRIS_HOOKS_INSIDE does not name it"
            )
        if (family, where) not in found:
            found.append((family, where))
    return found
