"""This machine's network interfaces, from the C library's getifaddrs (Linux)."""

from __future__ import annotations

import ctypes
import ipaddress
import os
import socket

from dbp_policy.unitree.network import Interface, NetworkError

_IFF_UP, _IFF_LOOPBACK, _IFF_RUNNING, _IFF_MULTICAST = 0x1, 0x8, 0x40, 0x1000
"""Flags of netdevice(7)."""


class _SockaddrIn(ctypes.Structure):
    _fields_ = [("family", ctypes.c_ushort), ("port", ctypes.c_ushort), ("address", ctypes.c_ubyte * 4)]


class _Ifaddrs(ctypes.Structure):
    """struct ifaddrs of getifaddrs(3)."""


_Ifaddrs._fields_ = [
    ("next", ctypes.POINTER(_Ifaddrs)),
    ("name", ctypes.c_char_p),
    ("flags", ctypes.c_uint),
    ("address", ctypes.POINTER(_SockaddrIn)),
    ("netmask", ctypes.POINTER(_SockaddrIn)),
    ("destination", ctypes.c_void_p),
    ("data", ctypes.c_void_p),
]


def list_interfaces() -> tuple[Interface, ...]:
    """All interfaces with their IPv4 addresses, in the system's order.

    Raises:
        NetworkError: The system does not tell.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    head = ctypes.POINTER(_Ifaddrs)()
    if libc.getifaddrs(ctypes.byref(head)) != 0:
        raise NetworkError(f"expected the list of network interfaces, got: {os.strerror(ctypes.get_errno())}")
    addresses: dict[str, list[str]] = {}
    flags: dict[str, int] = {}
    try:
        entry = head
        while entry:
            item = entry.contents
            name = item.name.decode()
            found = addresses.setdefault(name, [])
            flags[name] = item.flags
            if item.address and item.netmask and item.address.contents.family == socket.AF_INET:
                ip = ipaddress.IPv4Address(bytes(item.address.contents.address))
                mask = ipaddress.IPv4Address(bytes(item.netmask.contents.address))
                found.append(ipaddress.IPv4Interface(f"{ip}/{mask}").with_prefixlen)
            entry = item.next
    finally:
        libc.freeifaddrs(head)
    return tuple(_interface(name, tuple(found), flags[name]) for name, found in addresses.items())


def _interface(name: str, addresses: tuple[str, ...], flags: int) -> Interface:
    is_up = flags & _IFF_UP and flags & _IFF_RUNNING
    return Interface(name, addresses, bool(flags & _IFF_LOOPBACK), bool(is_up), bool(flags & _IFF_MULTICAST))
