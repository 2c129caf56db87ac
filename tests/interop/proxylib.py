# SPDX-License-Identifier: MIT
"""What the other programs here need: programs of ours, a client that is Python's ssl, a plain back-end, the lines."""
import contextlib
import hashlib
import json
import os
import resource
import select
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import traceback

USE, VERSION, CERT, KEY = sys.argv[1:]
VERSIONS = {'1.2': ssl.TLSVersion.TLSv1_2, '1.3': ssl.TLSVersion.TLSv1_3}
MODE = {'require': 'kernel', 'off': 'user'}[USE]
LIMIT = 120  # seconds, for whatever takes longer than it should
UP = os.urandom(3 << 20)
DOWN = os.urandom(5 << 20)


def digest(data):
    return hashlib.sha256(data).hexdigest()


def expect(got, wanted, what):
    if got != wanted:
        raise AssertionError(f'{what}: got {got!r}, wanted {wanted!r}')


def reset(sock):
    """Close with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    sock.close()


def read_all(sock, size=1 << 62):
    """What a plain socket has until its end, which must be a clean one."""
    data = bytearray()
    while len(data) < size:
        some = sock.recv(min(65536, size - len(data)))
        if not some:
            break
        data += some
    return bytes(data)


class Program:
    """One of our servers; stats has its lines when it has ended."""

    def __init__(self, *command, files=None):
        limit = (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))) if files else None
        self.process = subprocess.Popen(
            [*command, '--listen', '127.0.0.1:0', '--cert', CERT, '--key', KEY, '--stats'],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=limit)
        self.port = self.next_port()
        self.stats = []

    def next_port(self):
        """That of the next line, which tells of one."""
        return int(self.process.stdout.readline().rsplit(':', 1)[1])

    def stop(self):
        """A graceful stop; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        out, self.errors = self.process.communicate(timeout=LIMIT)
        self.stats = [json.loads(line) for line in out.splitlines() if line.startswith('{')]
        return self.process.returncode

    def expect_quiet(self):
        """Once nothing moves any more the processor has nothing to do."""
        limit = time.monotonic() + 30
        while True:
            before = self.cpu()
            time.sleep(1)
            used = self.cpu() - before
            if used <= 0.3:
                return
            if time.monotonic() > limit:
                raise AssertionError(f'{used} s of processor time while nothing moved')

    def descriptors(self):
        return len(os.listdir(f'/proc/{self.process.pid}/fd'))

    def cpu(self):
        with open(f'/proc/{self.process.pid}/stat', encoding='ascii') as f:
            fields = f.read().rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


class Proxy(Program):
    """A ktls-proxy in front of a listening socket."""

    def __init__(self, *options, backend=None, files=None):
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.listener.settimeout(LIMIT)
        address = backend or '127.0.0.1:%d'
        if '%d' in address:
            address %= self.listener.getsockname()[1]
        super().__init__('ktls-proxy', '--connect', address, '--tx', USE, '--rx', USE, '--tls', VERSION, *options,
                         files=files)

    def accept(self):
        sock = self.listener.accept()[0]
        sock.settimeout(LIMIT)
        return sock

    def stop(self):
        status = super().stop()
        self.listener.close()
        return status

    def check_stats(self, number, error=None, mode=MODE):
        expect(len(self.stats), number, 'closed connections')
        for line in self.stats:
            if mode:
                expect((line['tx']['mode'], line['rx']['mode']), (mode, mode), 'modes')
            if error is None:
                expect(line['error'], None, 'error')
                expect(line['to_backend'], line['rx']['bytes'], 'bytes to the back-end')
                expect(line['from_backend'], line['tx']['bytes'], 'bytes from the back-end')
            elif error not in (line['error'] or ''):
                raise AssertionError(f'error is {line["error"]!r}, wanted {error!r}')

    def expect_closed(self, descriptors):
        """A session is over before anybody asks for it."""
        limit = time.monotonic() + 10
        while self.descriptors() > descriptors:
            if time.monotonic() > limit:
                raise AssertionError('the connection is still there')
            time.sleep(0.05)


@contextlib.contextmanager
def running(p, status=0):
    """It is stopped at the end of the block, and has to end with that status."""
    try:
        yield p
    except BaseException:
        p.process.kill()
        p.stop()
        print(p.stats[-3:], p.errors)
        raise
    expect(p.stop(), status, 'exit status')


def proxy(*options, status=0, **more):
    return running(Proxy(*options, **more), status)


class Client:
    """TLS that can end one direction and go on with the other, which SSLSocket cannot."""

    def __init__(self, port, rcvbuf=None):
        context = ssl.create_default_context(cafile=CERT)
        context.minimum_version = context.maximum_version = VERSIONS[VERSION]
        # else the end of TCP would look like close_notify
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
        self.inp, self.out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.inp, self.out, server_hostname='localhost')
        self.sock = socket.socket()
        if rcvbuf:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.sock.connect(('127.0.0.1', port))
        self.sock.setblocking(False)
        self.queue = b''
        self.got = bytearray()
        self.end = None  # 'close_notify', 'fin' or 'reset'
        self.until(lambda: self.shake_hands() and self.all_is_sent())

    def shake_hands(self):
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def all_is_sent(self):
        return not self.queue and not self.out.pending

    def until(self, done):
        """Send what is to be sent and receive what comes, until done() is true."""
        limit = time.monotonic() + LIMIT
        while not done():
            self.queue += self.out.read()
            if time.monotonic() > limit:
                raise TimeoutError
            readable, writable, _ = select.select([self.sock], [self.sock] if self.queue else [], [], 1)
            try:
                if writable:
                    self.queue = self.queue[self.sock.send(self.queue):]
                if readable:
                    self.feed(self.sock.recv(65536))
            except (ConnectionResetError, BrokenPipeError):
                self.end = self.end or 'reset'
                break

    def feed(self, data):
        if data:
            self.inp.write(data)
        else:
            self.inp.write_eof()
        if self.tls.version() is None:
            return
        try:
            while self.end is None:
                some = self.tls.read(65536)
                self.got += some
                if not some:
                    self.end = 'close_notify'
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.end = 'close_notify'
        except ssl.SSLError as e:
            # which class it is depends on the version
            if e.reason != 'UNEXPECTED_EOF_WHILE_READING':
                raise
            self.end = 'fin'

    def send(self, data):
        """While receiving what comes."""
        sent = 0

        def more():
            nonlocal sent
            while sent < len(data) and len(self.queue) + self.out.pending < 1 << 16:
                sent += self.tls.write(data[sent:sent + 16384])
            return sent == len(data) and self.all_is_sent()
        self.until(more)

    def receive(self, size):
        self.until(lambda: self.end or len(self.got) >= size)

    def close_notify(self):
        """We send no more, and do not wait for the other end."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        self.until(self.all_is_sent)

    def read_to_end(self):
        self.until(lambda: self.end)
        return bytes(self.got)


class EagerClient(Client):
    """One that sends its first bytes together with the end of its handshake."""

    def __init__(self, port, eager=b''):
        self.eager = eager
        super().__init__(port)

    def shake_hands(self):
        if not super().shake_hands():
            return False
        if self.eager:
            self.tls.write(self.eager)
            self.eager = b''
        return True


class Backend(threading.Thread):
    """Does something with a connection; join() raises what went wrong."""

    def __init__(self, function, *args):
        super().__init__(daemon=True)
        self.function, self.args, self.error, self.result = function, args, None, None
        self.start()

    def run(self):
        try:
            self.result = self.function(*self.args)
        except Exception as e:  # pylint: disable=broad-except
            self.error = e

    def join(self, timeout=LIMIT):
        super().join(timeout)
        if self.is_alive():
            raise TimeoutError('the back-end')
        if self.error:
            raise self.error
        return self.result


def expect_reset(sock):
    with sock, contextlib.suppress(ConnectionResetError):
        read_all(sock)
        raise AssertionError('the back-end saw a clean end')


def expect_no_clean_end(client):
    client.read_to_end()
    if client.end == 'close_notify':
        raise AssertionError('the client saw a clean end')


def run_tests(what, functions):
    """Those whose names begin with test_: a line for each; returns the exit status."""
    failed = 0
    for name, test in list(functions.items()):
        if not name.startswith('test_'):
            continue
        start = time.monotonic()
        title = f'{what} {VERSION}: ' + name[5:].replace('_', ' ')
        try:
            test()
            print('ok %s %d s' % (title, time.monotonic() - start), flush=True)
        except Exception:  # pylint: disable=broad-except
            failed += 1
            print('FAIL ' + title)
            traceback.print_exc(file=sys.stdout)
            sys.stdout.flush()
    return 1 if failed else 0
