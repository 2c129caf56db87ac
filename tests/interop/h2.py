#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""h2.py PORT CERT ROOT PID: HTTP/2 frame by frame, what curl never sends, to the server with that PID."""

import os
import socket
import ssl
import struct
import sys
import time

PORT, CERT, ROOT, PID = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
MAGIC = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 7, 8
INITIAL_WINDOW = 4


def frame(kind, flags, stream, payload=b''):
    return struct.pack('>I', len(payload))[1:] + bytes([kind, flags]) + struct.pack('>I', stream) + payload


def get(stream, path, *fields):
    """A request without a body, none of its fields compressed."""
    fields = ((b':method', b'GET'), (b':path', path), (b':scheme', b'https'), (b':authority', b'localhost')) + fields
    return frame(HEADERS, 5, stream, b''.join(
        b'\0' + bytes([len(name)]) + name + bytes([len(value)]) + value for name, value in fields))


def window(stream, more):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack('>I', more))


class Client:
    def __init__(self, *first, initial=65535, rcvbuf=None):
        context = ssl.create_default_context(cafile=CERT)
        context.set_alpn_protocols(['h2'])
        sock = socket.socket()
        if rcvbuf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        sock.settimeout(60)
        sock.connect(('127.0.0.1', PORT))
        self.sock = context.wrap_socket(sock, server_hostname='localhost')
        expect(self.sock.selected_alpn_protocol(), 'h2', 'ALPN')
        self.send(MAGIC, frame(SETTINGS, 0, 0, struct.pack('>HI', INITIAL_WINDOW, initial)), *first)

    def send(self, *frames):
        self.sock.sendall(b''.join(frames))

    def frames(self):
        """Yields kind, flags, stream and payload, until the server closes."""
        buf = b''
        while True:
            while len(buf) < 9 or len(buf) < 9 + int.from_bytes(buf[:3], 'big'):
                got = self.sock.recv(65536)
                if not got:
                    return
                buf += got
            end = 9 + int.from_bytes(buf[:3], 'big')
            yield buf[3], buf[4], int.from_bytes(buf[5:9], 'big'), buf[9:end]
            buf = buf[end:]

    def bodies(self, streams, opens=False):
        """What comes on them until all have ended; opens: windows, as far as they were used."""
        got, open_streams = {stream: b'' for stream in streams}, set(streams)
        for kind, flags, stream, payload in self.frames():
            if kind != DATA:
                continue
            got[stream] += payload
            if flags & 1:
                open_streams.discard(stream)
            if not open_streams:
                break
            if opens and payload:
                self.send(window(stream, len(payload)), window(0, len(payload)))
        return got


def expect(got, want, what):
    if got != want:
        sys.exit('%s: %.200r, not %.200r' % (what, got, want))


def content(name):
    with open(os.path.join(ROOT, name), 'rb') as f:
        return f.read()


def idles(what):
    """The server must not run while it can only wait; one that waits for a CPU counts as running."""
    states = ''
    for _ in range(20):
        time.sleep(0.05)
        with open('/proc/%d/stat' % PID, encoding='ascii') as f:
            states += f.read().rsplit(')', 1)[1].split()[0]
    if states[10:].count('S') < 5:
        sys.exit('%s: the server never rests: %s' % (what, states))


def small_window():
    client = Client(get(1, b'/100001.bin'), initial=1000)
    idles('a window of 1000 bytes')
    expect(client.bodies([1], opens=True)[1], content('100001.bin'), 'a window of 1000 bytes')


def full_socket():
    """It goes on to read, and loses nothing, while the client takes nothing."""
    client = Client(window(0, 1 << 30), get(1, b'/3000000.bin'), initial=1 << 30, rcvbuf=4096)
    idles('a client that does not read')
    client.send(get(3, b'/1.bin'), get(5, b'/100001.bin'))
    got = client.bodies([1, 3, 5])
    for stream, name in ((1, '3000000.bin'), (3, '1.bin'), (5, '100001.bin')):
        expect(got[stream], content(name), 'a client that did not read, ' + name)


def too_many():
    """Of 150 streams 100 are served; those that are reset make room."""
    client = Client(*(get(1 + 2 * i, b'/3000000.bin') for i in range(150)), initial=1)
    frames, refused = client.frames(), 0
    while refused < 50:
        kind, _, _, payload = next(frames)
        if kind == RST_STREAM:
            expect(payload, struct.pack('>I', 7), 'REFUSED_STREAM')
            refused += 1
    client.send(*(frame(RST_STREAM, 0, 1 + 2 * i, struct.pack('>I', 8)) for i in range(100)), get(301, b'/1.bin'))
    for kind, _, stream, payload in frames:
        if stream == 301 and kind == DATA:
            expect(payload, content('1.bin'), 'after a reset of 100 streams')
            return
    sys.exit('no answer after a reset of 100 streams')


def no_requests():
    for path, fields in ((b'/a b', ()), (b'/1.bin', ((b'connection', b'close'),)),
                         (b'/1.bin', ((b'x', b'a\r\nrange: bytes=0-0'),)), (b'/1.bin', ((b'X', b'a'),))):
        kinds = (kind for kind, _, stream, _ in Client(get(1, path, *fields)).frames() if stream == 1)
        expect(next(kinds), RST_STREAM, '%r %r' % (path, fields))
    kinds = [kind for kind, _, _, _ in Client(frame(DATA, 0, 0, b'x')).frames()]
    expect(GOAWAY in kinds, True, 'GOAWAY for DATA of no stream')


def main():
    small_window()
    full_socket()
    too_many()
    no_requests()


main()
