#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Python's ssl module as a peer.

peer.py get PORT CA VERSION PATH
peer.py serve ROOT CERT KEY VERSION
peer.py plain ROOT                     serves without TLS; what is PUT is answered with its digest
peer.py ranges PORT CA VERSION FILE    asks for ranges of what is the file on the server, too
peer.py shrink PORT CA VERSION FILE    has the file become shorter on its way; it is on the server, too
peer.py bodies                         writes the bodies of the responses that it reads, slowly at first
peer.py parts FILE HEAD BODY RANGES    compares a response with several ranges of the file
"""
import functools
import hashlib
import http.client
import http.server
import os
import re
import socket
import ssl
import sys
import time

VERSIONS = {'1.2': ssl.TLSVersion.TLSv1_2, '1.3': ssl.TLSVersion.TLSv1_3}


def client(ca, version):
    """A context that takes the end of TCP for what it is."""
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = context.maximum_version = VERSIONS[version]
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    return context


def get(port, ca, version, path):
    """One HTTP/1.0 request; ssl raises an error when close_notify is missing."""
    with socket.create_connection(('127.0.0.1', int(port)), timeout=60) as plain:
        with client(ca, version).wrap_socket(plain, server_hostname='localhost', suppress_ragged_eofs=False) as tls:
            tls.sendall(f'GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n'.encode())
            data = b''.join(iter(lambda: tls.recv(65536), b''))
    sys.stdout.buffer.write(data.split(b'\r\n\r\n', 1)[1])


def shrink(port, ca, version, name):
    """What is there before the new end arrives, and nothing looks complete."""
    data = os.urandom(1 << 20) * 16
    with open(name, 'wb') as f:
        f.write(data)
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    plain.settimeout(60)
    plain.connect(('127.0.0.1', int(port)))
    tls = client(ca, version).wrap_socket(plain, server_hostname='localhost', suppress_ragged_eofs=False)
    tls.sendall(f'GET /{os.path.basename(name)} HTTP/1.1\r\nHost: localhost\r\n\r\n'.encode())
    got = bytearray(tls.recv(65536))
    os.truncate(name, len(data) - 1000)
    try:
        while some := tls.recv(65536):
            got += some
        sys.exit('close_notify, although the file was cut off')
    except ConnectionResetError:
        pass
    except ssl.SSLError as e:
        if e.reason != 'UNEXPECTED_EOF_WHILE_READING':
            raise
    head, body = got.split(b'\r\n\r\n', 1)
    if f'Content-Length: {len(data)}'.encode() not in head:
        sys.exit(head.decode())
    if body != data[:len(body)] or len(body) > len(data) - 1000:
        sys.exit(f'{len(body)} bytes, wanted the first {len(data) - 1000}')
    print(len(body), 'bytes')


def serve(root, cert, key, version):
    """A file server on a free port, until it is ended."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.minimum_version = context.maximum_version = VERSIONS[version]
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=root)
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    print(f'listening on 127.0.0.1:{server.server_address[1]}', flush=True)
    server.serve_forever()


class PlainHandler(http.server.SimpleHTTPRequestHandler):
    """What a back-end of ktls-proxy needs."""

    protocol_version = 'HTTP/1.1'

    def do_PUT(self):  # pylint: disable=invalid-name
        """The name is http.server's."""
        text = hashlib.sha256(self.rfile.read(int(self.headers['Content-Length']))).hexdigest().encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(text)))
        self.end_headers()
        self.wfile.write(text)


def plain(root):
    """The same without TLS, on persistent connections."""
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(PlainHandler, directory=root))
    print(f'listening on 127.0.0.1:{server.server_address[1]}', flush=True)
    server.serve_forever()


def check_parts(content_type, body, data, ranges):
    """The body has these parts of the data, (first, end) each, and nothing else: RFC 9110 section 14.6."""
    boundary = re.fullmatch(r'multipart/byteranges; boundary=([0-9A-Za-z]{16,70})', content_type).group(1)
    wanted = b''
    for first, end in ranges:
        wanted += (f'\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\n'
                   f'Content-Range: bytes {first}-{end - 1}/{len(data)}\r\n\r\n').encode() + data[first:end]
    wanted += f'\r\n--{boundary}--\r\n'.encode()
    if body != wanted[2:]:
        sys.exit(f'the parts {ranges} are wrong: {len(body)} bytes, {len(wanted) - 2} expected: {body[:1000]!r}')
    return boundary


def bodies():
    """Responses one after the other, each with its Content-Length."""
    data = sys.stdin.buffer.read(200000)
    time.sleep(3)
    data += sys.stdin.buffer.read()
    while data:
        head, data = data.split(b'\r\n\r\n', 1)
        length = int(re.search(rb'(?im)^content-length: (\d+)', head).group(1))
        sys.stdout.buffer.write(data[:length])
        data = data[length:]


def read(name):
    with open(name, 'rb') as f:
        return f.read()


def parts(name, head, body, ranges):
    """What curl has received for ranges like 0-9,100-199."""
    content_type = re.search(r'(?im)^content-type: (.*?)\r?$', read(head).decode()).group(1)
    numbers = [tuple(map(int, r.split('-'))) for r in ranges.split(',')]
    check_parts(content_type, read(body), read(name), [(first, last + 1) for first, last in numbers])


def ranges(port, ca, version, name):
    """Requests with Range fields of all kinds on one connection."""
    server = http.client.HTTPSConnection('127.0.0.1', int(port), context=client(ca, version), timeout=60)
    path = '/' + os.path.basename(name)
    data = read(name)
    size = len(data)
    many = [(n * 1000, n * 1000 + 7) for n in range(32)]
    field = 'bytes=' + ','.join(f'{first}-{end - 1}' for first, end in many)
    cases = [
        ('bytes=0-9,100-199', [(0, 10), (100, 200)]),
        ('Bytes=100-199, 0-9', [(100, 200), (0, 10)]),
        ('bytes=\t,, 0-0 ,\t-1,', [(0, 1), (size - 1, size)]),
        (f'bytes=500-, 1-2, {size}-', [(500, size), (1, 3)]),
        (f'bytes=0-{size // 3},{size // 2}-', [(0, size // 3 + 1), (size // 2, size)]),
        (field, many),
        # that overlap or meet: one
        ('bytes=0-9,5-20', [(0, 21)]),
        ('bytes=10-19,0-9', [(0, 20)]),
        ('bytes=100-199,0-9,200-250,20-30', [(100, 251), (0, 10), (20, 31)]),
        ('bytes=0-9,20-29,40-49,5-44', [(0, 50)]),
        ('bytes=0-9,20-29,40-49,30-39', [(0, 10), (20, 50)]),
        (f'bytes=0-,-1,0-{size * 2}', [(0, size)]),
        # some that the file does not have
        (f'bytes=0-9,{size}-{size + 5},-0', [(0, 10)]),
        (f'bytes={size}-,{size * 9}-', 416),
        ('bytes=-0', 416),
        # wrong, or too many
        ('bytes=', 200),
        ('bytes=,', 200),
        ('bytes=0-9,x', 200),
        ('bytes=0-9,9-8', 200),
        ('bytes=0-9 20-29', 200),
        ('bytes=0-9,-', 200),
        ('bytes=0-9;20-29', 200),
        ('lines=0-9,20-29', 200),
        (field + ',99990-99999', 200),
    ]
    boundaries = set()
    for value, wanted in cases:
        server.request('GET', path, headers={'Range': value})
        response = server.getresponse()
        body = response.read()
        status = 206 if isinstance(wanted, list) else wanted
        if (response.status, int(response.headers['Content-Length'])) != (status, len(body)):
            sys.exit(f'{value}: {response.status}, {len(body)} bytes\n{response.headers}')
        if status == 416 and response.headers['Content-Range'] != f'bytes */{size}':
            sys.exit(f'{value}: {response.headers}')
        if status == 200 and body != data:
            sys.exit(f'{value}: this is not the file')
        if status == 206 and len(wanted) > 1:
            boundaries.add(check_parts(response.headers['Content-Type'], body, data, wanted))
        elif status == 206:
            first, end = wanted[0]
            if response.headers['Content-Range'] != f'bytes {first}-{end - 1}/{size}' or body != data[first:end]:
                sys.exit(f'{value}: {response.headers}')
    if len(boundaries) != sum(isinstance(w, list) and len(w) > 1 for _, w in cases):
        sys.exit('a boundary came twice')
    server.request('HEAD', path, headers={'Range': 'bytes=0-9,100-199'})
    response = server.getresponse()
    if response.read() or response.status != 200 or int(response.headers['Content-Length']) != size:
        sys.exit(f'HEAD: {response.status} {response.headers}')
    print(len(cases), 'requests')


{'get': get, 'serve': serve, 'plain': plain, 'ranges': ranges, 'shrink': shrink, 'parts': parts,
 'bodies': bodies}[sys.argv[1]](*sys.argv[2:])
