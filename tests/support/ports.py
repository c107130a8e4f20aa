"""Ports that are one run's alone."""
import socket

_held = []


def held_port(host="127.0.0.1"):
    """A free port of this address that stays ours until this process ends: nobody is given it by the kernel, and only who is told of it
    and sets SO_REUSEADDR, as servers do, can listen there. Until one does, connections to it are refused."""
    holder = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind((host, 0))
    _held.append(holder)
    return holder.getsockname()[1]
