"""Run inside the telephones' namespace: hears G.711 on one port until standard input closes, then says from how many
senders something audible came. Standard library only."""

from __future__ import annotations

import socket
import sys
import threading

LOUD_FRAMES = 10  # of 20 ms: no click
LOUD = 600  # of 32768


def decode(byte: int) -> int:
    """One mu-law sample."""
    byte = ~byte & 0xFF
    value = (((byte & 0x0F) << 3) + 0x84) << ((byte & 0x70) >> 4)
    return 0x84 - value if byte & 0x80 else value - 0x84


LEVEL = [abs(decode(byte)) for byte in range(256)]


def main() -> None:
    host, port = sys.argv[1], int(sys.argv[2])
    loud: dict[tuple[str, int], int] = {}
    ear = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    ear.bind((host, port))
    ear.settimeout(0.2)
    over = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
    print("ready", flush=True)
    while not over.is_set():
        try:
            packet, sender = ear.recvfrom(2048)
        except TimeoutError:
            continue
        if len(packet) > 12 and packet[1] & 0x7F == 0 and max(LEVEL[b] for b in packet[12:]) > LOUD:
            loud[sender] = loud.get(sender, 0) + 1
    print(sum(count >= LOUD_FRAMES for count in loud.values()), flush=True)


if __name__ == "__main__":
    main()
