#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Python's ssl module as a peer: peer.py get PORT CA VERSION PATH | peer.py serve ROOT CERT KEY VERSION."""
import functools
import http.server
import socket
import ssl
import sys

VERSIONS = {'1.2': ssl.TLSVersion.TLSv1_2, '1.3': ssl.TLSVersion.TLSv1_3}


def get(port, ca, version, path):
    """One HTTP/1.0 request; ssl raises an error when close_notify is missing."""
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = context.maximum_version = VERSIONS[version]
    with socket.create_connection(('127.0.0.1', int(port)), timeout=60) as plain:
        with context.wrap_socket(plain, server_hostname='localhost', suppress_ragged_eofs=False) as tls:
            tls.sendall(f'GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n'.encode())
            data = b''.join(iter(lambda: tls.recv(65536), b''))
    sys.stdout.buffer.write(data.split(b'\r\n\r\n', 1)[1])


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


{'get': get, 'serve': serve}[sys.argv[1]](*sys.argv[2:])
