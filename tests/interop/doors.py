#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ktls-gnutls, to whose connections GnuTLS has the keys, and ktls-prefork, whose connections change their process: one line a test.

doors.py off|require VERSION CERT KEY    what the servers ask of the kernel, in both directions
"""
import atexit
import contextlib
import os
import select
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time

from proxylib import CERT, DOWN, KEY, LIMIT, MODE, USE, VERSION, Backend, Client, EagerClient, Program, digest, expect, run_tests, running

ROOT = tempfile.mkdtemp()
atexit.register(shutil.rmtree, ROOT)
SIZES = 0, 1, 16384, 1 << 20
for n_ in SIZES:
    with open(os.path.join(ROOT, f'{n_}.bin'), 'wb') as f_:
        f_.write(DOWN[:n_])
CIPHERS = {'1.2': ('--ciphers', 'ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-CHACHA20-POLY1305'),
           '1.3': ('--tls13-ciphers', 'TLS_AES_128_GCM_SHA256', 'TLS_CHACHA20_POLY1305_SHA256')}[VERSION]


def server(name, *options):
    return running(Program('ktls-' + name, '--root', ROOT, '--tx', USE, '--rx', USE, '--tls', VERSION, *options))


def good_lines(p, number):
    """Statistics of so many connections, in the mode that was asked for, and without an error."""
    expect(len(p.stats), number, 'closed connections')
    for s in p.stats:
        expect((s['version'], s['tx']['mode'], s['rx']['mode'], s['error']), ('TLSv' + VERSION, MODE, MODE, None), 'line')


def fetch(p, sizes, *options):
    """By one curl, on one connection."""
    got = tempfile.mkdtemp(dir=ROOT)
    for n in sizes:
        options += f'https://localhost:{p.port}/{n}.bin', '-o', os.path.join(got, str(n))
    subprocess.run(['curl', '-sSf', '--http1.1', '--max-time', str(LIMIT), '--cacert', CERT, *options], check=True)
    for n in sizes:
        with open(os.path.join(got, str(n)), 'rb') as f:
            expect(digest(f.read()), digest(DOWN[:n]), f'{n} bytes')


def request(path, close=True):
    return f'GET {path} HTTP/1.1\r\nHost: localhost\r\n{"Connection: close" if close else "X: y"}\r\n\r\n'.encode()


def answer(client):
    """Status and body, if the connection ends properly."""
    data = client.read_to_end()
    expect(client.end, 'close_notify', 'the end')
    head, body = data.split(b'\r\n\r\n', 1)
    return int(head.split()[1]), body


def keys_change():
    if MODE == 'user':
        return True
    with open('/proc/net/tls_stat', encoding='ascii') as f:
        return 'TlsTxRekeyOk' in f.read()


def files_of(name):
    with server(name) as p:
        # in the same segment as the end of the handshake: who shakes hands leaves it to the other
        client = EagerClient(p.port, request('/1.bin'))
        expect(answer(client), (200, DOWN[:1]), 'one byte')
        client.sock.close()
        fetch(p, SIZES)
    good_lines(p, 2)
    expect(sorted(s['requests'] for s in p.stats), [1, len(SIZES)], 'requests')
    for s in p.stats:
        expect(s['tx']['kernel_bytes'], s['tx']['bytes'] if MODE == 'kernel' else 0, 'bytes of the kernel')


def test_gnutls_files():
    files_of('gnutls')


def test_prefork_files():
    files_of('prefork')


def test_gnutls_ciphers():
    ciphers = CIPHERS[1:] if MODE == 'user' else CIPHERS[2:]
    with server('gnutls') as p:
        for cipher in ciphers:
            fetch(p, SIZES[2:3], CIPHERS[0], cipher)
    good_lines(p, len(ciphers))


def parts(data):
    """Lengths of the records in this, whole ones."""
    lengths = []
    while len(data) >= 5:
        n = int.from_bytes(data[3:5], 'big')
        if data[0] == 23:
            lengths.append(n)
        data = data[5 + n:]
    return lengths


def relay(listener, port):
    """One connection; what came from the server."""
    client = listener.accept()[0]
    seen = bytearray()
    with client, socket.create_connection(('127.0.0.1', port)) as far:
        ends = {client: far, far: client}
        while ends:
            for sock in select.select(list(ends), [], [], LIMIT)[0]:
                data = sock.recv(65536)
                if sock is far:
                    seen += data
                if data:
                    ends[sock].sendall(data)
                else:
                    ends.pop(sock).shutdown(socket.SHUT_WR)
    return bytes(seen)


def test_gnutls_short_records_and_ccm():
    """A client that takes 1024 bytes in a record, and one cipher only."""
    priority = f'NORMAL:-CIPHER-ALL:+AES-128-CCM:-VERS-ALL:+VERS-TLS{VERSION}'
    with server('gnutls') as p, socket.create_server(('127.0.0.1', 0)) as listener:
        listener.settimeout(LIMIT)
        middle = Backend(relay, listener, p.port)
        out = subprocess.run(['gnutls-cli', '--logfile=/dev/null', '--recordsize', '1024', '--x509cafile', CERT, '--priority', priority,
                              '-p', str(listener.getsockname()[1]), 'localhost'], input=request('/16384.bin'), timeout=LIMIT,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True).stdout
        body = out.split(b'\r\n\r\n', 1)[1]
        lengths = parts(middle.join())
    expect(digest(body[:16384]), digest(DOWN[:16384]), 'the file')
    good_lines(p, 1)
    # of the handshake's own, the last 16 have the file
    expect((len(lengths) > 16, max(lengths[-16:]) <= 1024 + 64), (True, True), f'records {lengths}')


def asks_for_keys(name):
    """s_client's KeyUpdate, which asks for one in return, between two requests."""
    with server(name) as p, tempfile.TemporaryFile() as said:
        with subprocess.Popen(['openssl', 's_client', '-brief', '-CAfile', CERT, '-connect', f'localhost:{p.port}'],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said) as client:
            client.stdin.write(request('/16384.bin', close=False))
            client.stdin.flush()
            out = b''
            while not out.endswith(DOWN[16300:16384]):
                out += os.read(client.stdout.fileno(), 65536)
            # a command of s_client is alone in what it reads
            client.stdin.write(b'K\n')
            client.stdin.flush()
            if keys_change():
                limit = time.monotonic() + LIMIT
                while b'KEYUPDATE' not in read_again(said) and time.monotonic() < limit:
                    time.sleep(0.02)
                client.stdin.write(request(f'/{1 << 20}.bin'))
                client.stdin.flush()
            out += client.stdout.read()
            client.wait(LIMIT)
        expect('alert internal error' in read_again(said).decode(), not keys_change(), 'an alert')
    bodies = [part.split(b'\r\n\r\n', 1)[1] for part in out.split(b'HTTP/1.1 200 OK\r\n')[1:]]
    wanted = [digest(DOWN[:16384])] + [digest(DOWN[:1 << 20])] * keys_change()
    expect([digest(b) for b in bodies], wanted, 'what was received')
    expect(len(p.stats), 1, 'closed connections')
    s = p.stats[0]
    if keys_change():
        good_lines(p, 1)
        expect((s['tx']['rekeys'], s['rx']['rekeys']), (1, 1), 'new keys')
    else:
        expect('key' in s['error'], True, s['error'])


def read_again(f):
    f.seek(0)
    return f.read()


def gnutls_new_keys():
    asks_for_keys('gnutls')


def prefork_new_keys():
    asks_for_keys('prefork')


if VERSION == '1.3':
    test_gnutls_new_keys = gnutls_new_keys
    test_prefork_new_keys = prefork_new_keys


def bad_requests_to(name):
    """They have their answers, and the next client has what it wants."""
    with server(name) as p:
        for wanted, text in ((404, request('/none')), (403, request('/%2e%2e/etc/passwd')), (400, b'GET\r\n\r\n'),
                             (431, b'GET / HTTP/1.1\r\n' + b'x: y\r\n' * 3000), (405, request('/').replace(b'GET', b'PUT'))):
            client = Client(p.port)
            client.send(text)
            expect(answer(client)[0], wanted, text[:40])
            client.sock.close()
        with socket.create_connection(('127.0.0.1', p.port), LIMIT) as sock, contextlib.suppress(ConnectionResetError):
            sock.sendall(b'GET / HTTP/1.1\r\n\r\n')
            while sock.recv(4096):
                pass
        client = Client(p.port)
        client.send(request('/1.bin'))
        expect(answer(client), (200, DOWN[:1]), 'one byte')
        client.sock.close()
    return p


def test_gnutls_bad_requests():
    p = bad_requests_to('gnutls')
    good_lines(p, 6)
    expect('a handshake failed' in p.errors, True, p.errors)


def test_prefork_bad_requests():
    p = bad_requests_to('prefork')
    expect(len([s for s in p.stats if s['error'] is None]), 6, 'good ones')
    expect(len([s for s in p.stats if s['error']]), 1, 'the one without TLS')


def stops(name):
    """An idle connection is closed, and one in the middle of its request answered."""
    with server(name) as p:
        idle, busy = Client(p.port), Client(p.port)
        for client in idle, busy:
            client.send(request('/1.bin', close=False))
            client.receive(len(DOWN[:1]))
            client.until(lambda c=client: c.got.endswith(b'\r\n\r\n' + DOWN[:1]))
            client.got.clear()
        busy.send(request('/16384.bin')[:10])
        end = Backend(p.stop)
        expect((idle.read_to_end(), idle.end), (b'', 'close_notify'), 'the idle one')
        idle.close_notify()
        idle.sock.close()
        busy.send(request('/16384.bin')[10:])
        expect(digest(answer(busy)[1]), digest(DOWN[:16384]), 'the busy one')
        busy.close_notify()
        busy.sock.close()
        expect(end.join(), 0, 'exit status')
    good_lines(p, 2)


def test_gnutls_stops():
    stops('gnutls')


def test_prefork_stops():
    stops('prefork')


def test_prefork_more_clients_than_workers():
    with server('prefork', '--workers', '2') as p:
        # their handshakes do not need a worker
        clients = [Client(p.port) for _ in range(6)]
        for client in clients:
            client.send(request('/16384.bin'))
        for client in clients:
            expect(digest(answer(client)[1]), digest(DOWN[:16384]), 'the file')
            client.close_notify()
            client.sock.close()
    good_lines(p, 6)
    workers = {s['worker'] for s in p.stats}
    expect((len(workers), p.process.pid in workers), (2, False), 'workers')


if VERSION == '1.2':
    def test_prefork_other_ciphers_get_an_alert():
        """What cannot be handed on is not negotiated."""
        context = ssl.create_default_context(cafile=CERT)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers('ECDHE-ECDSA-AES128-SHA')
        said = None
        with server('prefork') as p:
            with socket.create_connection(('127.0.0.1', p.port)) as sock:
                sock.settimeout(LIMIT)
                try:
                    context.wrap_socket(sock, server_hostname='localhost')
                except ssl.SSLError as e:
                    said = e.reason
        expect(said, 'SSLV3_ALERT_HANDSHAKE_FAILURE', 'alert')
        expect(len(p.stats), 1, 'connections')
        expect('no shared cipher' in p.stats[0]['error'], True, p.stats)


def test_prefork_a_worker_dies():
    """The others go on; without any the program ends."""
    p = Program('ktls-prefork', '--root', ROOT, '--workers', '2', '--tls', VERSION)
    with open(f'/proc/{p.process.pid}/task/{p.process.pid}/children', encoding='ascii') as f:
        workers = [int(pid) for pid in f.read().split()]
    expect(len(workers), 2, 'workers')
    os.kill(workers[0], 9)
    # until it has gone it may still take a connection along
    limit = time.monotonic() + LIMIT
    while os.path.exists(f'/proc/{workers[0]}') and time.monotonic() < limit:
        time.sleep(0.01)
    client = Client(p.port)
    client.send(request('/1.bin'))
    expect(answer(client), (200, DOWN[:1]), 'one byte')
    os.kill(workers[1], 9)
    expect(p.process.wait(LIMIT), 1, 'exit status')
    p.stop()
    expect(p.errors.count('ended unexpectedly'), 2, p.errors)


def ends(*command):
    r = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20, check=False)
    expect(bool(r.stderr), True, 'a message')
    return r.returncode


def test_wrong_options():
    for name in 'ktls-gnutls', 'ktls-prefork':
        good = [name, '--root', ROOT, '--cert', CERT, '--key', KEY, '--listen', '127.0.0.1:0']
        for options in ('--nothing',), ('--tx', 'maybe'), ('more',), ('--listen', '127.0.0.1'):
            expect(ends(*good, *options), 2, f'{name} {options}')
        expect(ends(name, '--root', ROOT, '--cert', CERT), 2, 'no --key')
        for options in ('--root', '/nowhere'), ('--cert', '/nowhere'), ('--key', CERT):
            expect(ends(*good, *options), 1, f'{name} {options}')
        expect(ends(*good, '--tls', '1.1'), 2, f'{name} --tls')
    expect(ends(*good, '--workers', '0'), 2, '--workers')
    expect(ends('ktls-gnutls', *good[1:], '--priority', 'NONSENSE'), 1, '--priority')


if not shutil.which('ktls-gnutls'):
    print('skip ktls-gnutls: no GnuTLS to build with')
    for name_ in [name for name in globals() if name.startswith('test_gnutls') or name == 'test_wrong_options']:
        del globals()[name_]
if MODE == 'kernel':
    # a virtual machine is slow: only what a kernel can do in another way
    for name_ in [name for name in globals() if name.startswith('test_') and not name.endswith(('_files', '_new_keys', {
            '1.2': '_ciphers', '1.3': '_ccm'}[VERSION]))]:
        del globals()[name_]
sys.exit(run_tests('doors', globals()))
