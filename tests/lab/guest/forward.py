#!/usr/bin/python3
"""Stands for the tunnel of a shared volume: forward.py PORT TARGET

Takes connections on this port of loopback and carries them to the address that the file TARGET has now
(10.77.0.1:3001). While nothing answers there, a connection is held, and not refused. SIGHUP ends all
connections: the volume has another owner.
"""
import signal
import socket
import sys
import threading
import time

port, target = int(sys.argv[1]), sys.argv[2]
alive = set()
guard = threading.Lock()


def end(sock):
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    sock.close()


def hang_up(*_):
    with guard:
        for sock in alive:
            end(sock)
        alive.clear()


def reach(client):
    while True:
        with guard:
            if client not in alive:
                return None
        address, _, number = open(target).read().strip().rpartition(":")
        try:
            server = socket.create_connection((address, int(number)), timeout=1)
            server.settimeout(None)
            return server
        except OSError:
            time.sleep(0.05)


def carry(source, sink):
    try:
        while data := source.recv(1 << 18):
            sink.sendall(data)
    except OSError:
        pass
    with guard:
        for sock in (source, sink):
            end(sock)
            alive.discard(sock)


def serve(client):
    server = reach(client)
    if server is None:
        return
    with guard:
        # Ended meanwhile: whom it was to go to is no longer the owner.
        if client not in alive:
            server.close()
            return
        alive.add(server)
    for sock in (client, server):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    threading.Thread(target=carry, args=(server, client), daemon=True).start()
    carry(client, server)


listener = socket.create_server(("127.0.0.1", port))
# Signals come to the main thread, which is to do nothing else: accept(2) is another's.
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])


def accept():
    while True:
        client, _ = listener.accept()
        with guard:
            alive.add(client)
        threading.Thread(target=serve, args=(client,), daemon=True).start()


threading.Thread(target=accept, daemon=True).start()
while True:
    signal.sigwait([signal.SIGHUP])
    hang_up()
