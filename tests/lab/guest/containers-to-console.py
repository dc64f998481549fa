#!/usr/bin/python3
"""Prints what containers print on the console, which the host keeps: containers-to-console.py SOCKET

The engine sends it there as a syslog message for each line. Not at /dev/log: others speak there, too.
"""
import os
import socket
import sys

server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
server.bind(sys.argv[1])
console = os.open("/dev/console", os.O_WRONLY | os.O_NOCTTY)
while True:
    os.write(console, server.recv(8192).rstrip(b"\n") + b"\n")
