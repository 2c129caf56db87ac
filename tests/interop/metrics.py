#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What ktls-httpd tells of itself, and its options for NICs where there is none: one line a test.

metrics.py off|require VERSION CERT KEY    what the server asks of the kernel, in both directions
"""
import atexit
import contextlib
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from proxylib import CERT, DOWN, KEY, LIMIT, MODE, USE, VERSION, Client, Program, digest, expect, read_all, run_tests, running

CLIENTS = 8        # as in examples/httpd/metrics.c
LIMIT_METRICS = 5  # seconds, as in examples/httpd/httpd.h
FILE = DOWN[:1500000]
ROOT = tempfile.mkdtemp()
atexit.register(shutil.rmtree, ROOT)
with open(os.path.join(ROOT, 'file'), 'wb') as f_:
    f_.write(FILE)

NAME = r'[a-zA-Z_:][a-zA-Z0-9_:]*'
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(r'(%s)(?:\{(%s(?:,%s)*)\})? ([0-9]+)' % (NAME, LABEL, LABEL))


class Httpd(Program):
    """A ktls-httpd whose workers have a port for metrics each."""

    def __init__(self, *options, address='127.0.0.1:0', workers=1, version=VERSION):
        super().__init__('ktls-httpd', '--root', ROOT, '--tx', USE, '--rx', USE, '--metrics', address,
                         '--workers', str(workers), *(['--tls', version] if version else []), *options)
        self.ports = [self.next_port() for _ in range(workers)]

    def scrape(self, worker=0):
        """{sample: value}, from a text that follows the format 0.0.4."""
        head, text = curl('-i', f'http://127.0.0.1:{self.ports[worker]}/metrics').decode().split('\r\n\r\n', 1)
        expect('content-type: text/plain; version=0.0.4' in head.lower(), True, head)
        return parse(text)


def httpd(*options, status=0, **more):
    return running(Httpd(*options, **more), status)


def parse(text):
    """Every family is told of before its samples, once, and all of its samples stand together."""
    expect(text[-1], '\n', 'the last byte')
    samples, family, told = {}, None, {}
    for line in text.splitlines():
        if line.startswith('# HELP '):
            family = line.split(' ')[2]
            expect(family in told, False, line)
            told[family] = None
            continue
        if line.startswith('# TYPE '):
            expect((line.split(' ')[2], line.split(' ')[3] in ('counter', 'gauge')), (family, True), line)
            told[family] = line.split(' ')[3]
            continue
        m = SAMPLE.fullmatch(line)
        if not m or line in samples:
            raise AssertionError(f'not a sample: {line!r}')
        expect(m.group(1), family, line)
        expect(told[family] == 'counter', family.endswith('_total'), line)
        samples[line.rsplit(' ', 1)[0]] = int(m.group(3))
    expect(None in told.values(), False, 'a family without its type')
    return samples


def curl(*options):
    return subprocess.run(['curl', '-sS', '--http1.1', '--max-time', str(LIMIT), '--cacert', CERT, *options],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True).stdout


def fetch(p, *options):
    expect(digest(curl('-f', *options, f'https://localhost:{p.port}/file')), digest(FILE), 'the file')


def wait_for(condition, what, seconds=30):
    limit = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > limit:
            raise AssertionError(f'not within {seconds} s: {what}')
        time.sleep(0.1)


def test_counters_move():
    with httpd() as p:
        before = p.scrape()
        client = Client(p.port)
        wait_for(lambda: p.scrape()['libktls_connections_open'] == 1, 'one connection')
        client.send(b'GET /file HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
        body = client.read_to_end().split(b'\r\n\r\n', 1)[1]
        expect(digest(body), digest(FILE), 'the file')
        client.close_notify()
        client.sock.close()
        wait_for(lambda: p.scrape()['libktls_connections_open'] == 0, 'none')
        after = p.scrape()
    moved = {k: v - before.get(k, 0) for k, v in after.items() if v != before.get(k, 0)}
    expect(moved.pop('libktls_connections_total'), 1, 'connections')
    for d in ('tx', 'rx'):
        stats = p.stats[0][d]
        # the handshake is before any key is in the kernel, application bytes are behind it
        expect(moved.pop(f'libktls_bytes_total{{direction="{d}",mode="{MODE}"}}'), stats['bytes'], f'bytes {d}')
        if MODE == 'kernel':
            expect(moved.pop(f'libktls_offloads_total{{direction="{d}"}}'), 1, f'moves {d}')
        else:
            expect(moved.pop(f'libktls_refusals_total{{direction="{d}",reason="POLICY"}}'), 1, f'refusals {d}')
        moved.pop(f'libktls_again_total{{direction="{d}"}}', None)
    moved.pop('libktls_guard_pushes_total', None)
    expect(moved, {}, 'nothing else')


def test_failures_are_counted():
    with httpd() as p:
        with socket.create_connection(('127.0.0.1', p.port)) as sock:
            sock.sendall(b'GET / HTTP/1.1\r\n\r\n')
        wait_for(lambda: p.scrape()['libktls_failures_total{error="EPROTO"}'] == 1, 'EPROTO')
        client = Client(p.port)
        client.sock.close()
        wait_for(lambda: p.scrape()['libktls_connections_open'] == 0, 'none')
        failures = {k: v for k, v in p.scrape().items() if '_failures_' in k and v}
        # a FIN, or a reset of what the client did not read
        expect(sum(failures.values()), 2, f'failures {failures}')


def status_of(p, request):
    """To a request as it is; and the body, if the connection ends properly."""
    with socket.create_connection(('127.0.0.1', p.ports[0]), LIMIT) as sock:
        sock.sendall(request)
        head, body = read_all(sock).split(b'\r\n\r\n', 1)
        return int(head.split()[1]), head.decode(), body


def test_statuses():
    line = b'%s %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n'
    with httpd() as p:
        good, head, body = status_of(p, line % (b'GET', b'/metrics', b''))
        expect(good, 200, 'status')
        parse(body.decode())
        expect(f'Content-Length: {len(body)}\r\n' in head + '\r\n', True, head)
        expect(status_of(p, line % (b'HEAD', b'/metrics', b''))[::2], (200, b''), 'HEAD')
        expect(status_of(p, line % (b'GET', b'/metrics?x=1', b''))[0], 200, 'a query')
        expect(status_of(p, b'GET /metrics HTTP/1.0\r\n\r\n')[0], 200, 'HTTP/1.0')
        for path in (b'/', b'/file', b'/metrics/', b'/metric', b'/metrics%00'):
            expect(status_of(p, line % (b'GET', path, b''))[0], 400 if b'%00' in path else 404, path)
        expect(status_of(p, line % (b'POST', b'/metrics', b'Content-Length: 5\r\n') + b'12345')[0], 405, 'POST')
        expect(status_of(p, line % (b'SPAM', b'/metrics', b''))[0], 501, 'no method')
        expect(status_of(p, b'GET /metrics HTTP/1.1\r\n\r\n')[0], 400, 'no host')
        expect(status_of(p, line % (b'GET', b'/metrics', b'x: ' + b'y' * 4000 + b'\r\n'))[0], 431, 'a long head')
        expect(status_of(p, b'GET /' + b'm' * 4000)[0], 414, 'a long path')


def test_slow_clients_hold_up_nobody():
    with httpd() as p:
        p.scrape()  # by now all that it needs is open
        time.sleep(0.5)
        descriptors = p.descriptors()
        start = time.monotonic()
        slow = [socket.create_connection(('127.0.0.1', p.ports[0])) for _ in range(3 * CLIENTS)]
        for sock in slow:
            sock.settimeout(LIMIT)
            sock.sendall(b'GET /metrics HTTP/1.1\r\n')
        fetch(p)
        expect(select.select(slow, [], [], 0)[0], [], 'those who are still waited for')
        p.expect_quiet()
        expect(p.descriptors() <= descriptors + CLIENTS, True, 'few descriptors')
        # no answer, and not before their time
        with contextlib.suppress(ConnectionResetError):
            expect(read_all(slow[0]), b'', 'no answer')
        expect(time.monotonic() - start > LIMIT_METRICS - 1, True, 'the time of a client')
        for sock in slow:
            sock.close()
        p.scrape()
        wait_for(lambda: p.descriptors() <= descriptors, 'all gone')


def test_stop_does_not_wait():
    with httpd() as p:
        with socket.create_connection(('127.0.0.1', p.ports[0])) as sock:
            sock.sendall(b'GET /metrics HTTP/1.1\r\n')
            p.scrape()  # by now the first one was accepted
            start = time.monotonic()
            expect(p.stop(), 0, 'exit status')
            expect(time.monotonic() - start < LIMIT_METRICS - 1, True, 'at once')


def two_ports():
    while True:
        with contextlib.suppress(OSError, OverflowError), socket.create_server(('127.0.0.1', 0)) as one:
            port = one.getsockname()[1]
            with socket.create_server(('127.0.0.1', port + 1)):
                return port


def test_workers():
    """Each counts for itself, on the port behind that of the one before."""
    port = two_ports()
    with httpd(address=f'127.0.0.1:{port}', workers=2) as p:
        expect(p.ports, [port, port + 1], 'ports')
        for _ in range(10):
            fetch(p)
        made = [p.scrape(n)['libktls_connections_total'] for n in range(2)]
        expect(sum(made), 10, f'connections {made}')


def log_of(level):
    with httpd('--log', level) as p:
        fetch(p)
    return [line for line in p.errors.splitlines() if line.startswith('ktls-httpd: ')]


def test_log():
    expect(log_of('err'), [], 'a good connection')
    lines = log_of('debug')
    if MODE == 'kernel':
        wanted = 'ktls-httpd: info: fd [0-9]+: %s goes through the kernel: TLSv{}, .*'.format(VERSION.replace('.', r'\.'))
    else:
        wanted = r'ktls-httpd: debug: fd [0-9]+: %s stays in user space: .* \(POLICY\)'
    for d in ('tx', 'rx'):
        expect(len([line for line in lines if re.fullmatch(wanted % d, line)]), 1, f'a line for {d} in {lines}')


def ends(*options):
    """The status of a server that does not start."""
    return subprocess.run(['ktls-httpd', '--root', ROOT, '--cert', CERT, '--key', KEY, '--listen', '127.0.0.1:0', *options],
                          timeout=LIMIT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)


def test_wrong_options():
    expect(ends('--log', 'much').returncode, 2, '--log')
    expect(ends('--metrics', '127.0.0.1').returncode, 2, '--metrics')
    expect(ends('--metrics', '127.0.0.1:65535', '--workers', '2').returncode, 2, 'no port behind')
    r = ends('--device', '--tls', '1.3')
    expect((r.returncode, b'--device: no TLS 1.2' in r.stderr), (1, True), '--device')
    r = ends('--device', '--ciphers', 'ECDHE-ECDSA-CHACHA20-POLY1305', '--tls', '1.2')
    expect((r.returncode, b'--device: no TLS 1.2' in r.stderr), (1, True), '--device')


def test_device():
    """Only what a NIC could do, and without one the kernel or OpenSSL does it."""
    with httpd('--device', '--zerocopy', version=None) as p:
        fetch(p)
        for suite in ('AES128-GCM-SHA256', 'AES256-GCM-SHA384'):
            fetch(p, '--ciphers', 'ECDHE-ECDSA-' + suite)
        for options in (('--tlsv1.3',), ('--ciphers', 'ECDHE-ECDSA-CHACHA20-POLY1305', '--tls-max', '1.2')):
            try:
                curl(*options, f'https://localhost:{p.port}/file')
            except subprocess.CalledProcessError as e:
                expect(e.returncode, 35, 'curl: TLS')
            else:
                raise AssertionError(f'{options}: accepted')
    good = [s for s in p.stats if s['error'] is None]
    expect(len(good), 3, 'connections')
    for s in good:
        expect((s['version'], 'AES' in s['cipher'] and 'GCM' in s['cipher']), ('TLSv1.2', True), s['cipher'])
        expect((s['tx']['mode'], s['rx']['mode'], s['zerocopy']), (MODE, MODE, False), 'modes, zerocopy')


sys.exit(run_tests('httpd', globals()))
