#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ktls-proxy between a client, Python's ssl, and a plain back-end, both of which are here: one line a test.

proxy.py off|require VERSION CERT KEY    what the proxy asks of the kernel, in both directions
"""
import contextlib
import signal
import socket
import sys
import threading
import time

from proxylib import (DOWN, LIMIT, MODE, UP, VERSION, Backend, Client, digest, expect, expect_no_clean_end, expect_reset,
                      proxy, read_all, reset, run_tests)


def both_ways(p):
    """The back-end sends all the time, and a digest when it has received all."""
    def backend():
        with p.accept() as sock:
            sender = Backend(sock.sendall, DOWN)
            received = read_all(sock)
            sender.join()
            sock.sendall(digest(received).encode())
    thread = Backend(backend)
    client = Client(p.port)
    client.send(UP)
    client.close_notify()
    data = client.read_to_end()
    thread.join()
    expect(client.end, 'close_notify', 'end')
    expect(digest(data[:len(DOWN)]), digest(DOWN), 'what was received')
    expect(data[len(DOWN):].decode(), digest(UP), 'what was sent')
    client.sock.close()


def test_client_ends_first():
    with proxy() as p:
        both_ways(p)
    p.check_stats(1)


def test_switch_on_the_way():
    """To the kernel, where there is one, between two splices."""
    with proxy('--tx', 'auto', '--rx', 'auto', '--offload-after', '1000000') as p:
        both_ways(p)
    p.check_stats(1, mode=None)
    tx = p.stats[0]['tx']
    if MODE == 'kernel' and not 0 < tx['kernel_bytes'] < tx['bytes']:
        raise AssertionError(f'it was not on the way: {tx}')


def test_backend_ends_first():
    with proxy() as p:
        def backend():
            with p.accept() as sock:
                sock.sendall(DOWN)
                sock.shutdown(socket.SHUT_WR)
                return digest(read_all(sock))
        thread = Backend(backend)
        client = Client(p.port)
        data = client.read_to_end()
        expect(client.end, 'close_notify', 'end')
        expect(digest(data), digest(DOWN), 'what was received')
        client.send(UP)
        client.close_notify()
        expect(thread.join(), digest(UP), 'what was sent')
        client.sock.close()
    p.check_stats(1)


def test_many_at_once():
    with proxy() as p:
        def backend(sock):
            with sock:
                while data := sock.recv(65536):
                    sock.sendall(data)

        def client(number):
            c = Client(p.port)
            data = UP[:300000 + number]
            c.send(data)
            c.close_notify()
            expect(digest(c.read_to_end()), digest(data), 'echo')
            expect(c.end, 'close_notify', 'end')
            c.sock.close()
        clients = [Backend(client, n) for n in range(10)]
        backends = [Backend(backend, p.accept()) for _ in clients]
        for thread in clients + backends:
            thread.join()
    p.check_stats(len(clients))


def test_small_pieces():
    """An answer for every byte: nothing may wait for more."""
    with proxy() as p:
        def backend():
            with p.accept() as sock:
                while data := sock.recv(1):
                    sock.sendall(data * 3)
        thread = Backend(backend)
        client = Client(p.port)
        for n in range(100):
            client.send(b'x')
            client.receive(3 * n + 3)
        expect(len(client.got), 300, 'bytes')
        client.close_notify()
        client.read_to_end()
        expect(client.end, 'close_notify', 'end')
        thread.join()
        client.sock.close()
    p.check_stats(1)


def test_fin_without_close_notify():
    with proxy() as p:
        client = Client(p.port)
        sock = p.accept()
        client.send(UP[:100000])
        client.sock.shutdown(socket.SHUT_WR)
        expect_reset(sock)
        expect_no_clean_end(client)
    p.check_stats(1, 'client: ')


def test_client_reset():
    with proxy() as p:
        client = Client(p.port)
        sock = p.accept()
        client.send(UP[:100000])
        reset(client.sock)
        expect_reset(sock)
    p.check_stats(1, 'client: ')


def test_backend_reset():
    with proxy() as p:
        def backend():
            sock = p.accept()
            sock.sendall(DOWN[:100000])
            read_all(sock, 1)
            reset(sock)
        thread = Backend(backend)
        client = Client(p.port)
        client.send(b'x')
        expect_no_clean_end(client)
        thread.join()
    p.check_stats(1, 'back-end: ')


def test_backend_closes_unread():
    """It has answered, and does not want the rest: the client gets the answer."""
    with proxy() as p:
        def backend():
            with p.accept() as sock:
                read_all(sock, 1)
                sock.sendall(DOWN)
                sock.shutdown(socket.SHUT_WR)
                # until our end is where the client's is: to close is to reset what is on the way
                arrived.wait(LIMIT)
        arrived = threading.Event()
        thread = Backend(backend)
        client = Client(p.port)
        client.send(b'xyz')
        data = client.read_to_end()
        arrived.set()
        expect(digest(data), digest(DOWN), 'what was received')
        expect(client.end, 'close_notify', 'end')
        thread.join()
        client.close_notify()
        client.sock.close()


def test_refused():
    # nobody listens on it, nor can anybody else have it
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        address = '127.0.0.1:%d' % sock.getsockname()[1]
        with proxy(backend=address) as p:
            client = Client(p.port)
            expect_no_clean_end(client)
    p.check_stats(1, address + ': Connection refused')


def test_client_stops_reading():
    """The back-end is stopped too, nothing spins meanwhile, and nothing is lost."""
    with proxy('--sndbuf', '65536') as p:
        data = DOWN * 4
        sock = None

        def backend():
            with sock:
                sock.sendall(data)
        client = Client(p.port, rcvbuf=65536)
        sock = p.accept()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        thread = Backend(backend)
        p.expect_quiet()
        expect(thread.is_alive(), True, 'the back-end waits')
        expect(digest(client.read_to_end()), digest(data), 'what was received')
        expect(client.end, 'close_notify', 'end')
        thread.join()
        client.close_notify()
        client.sock.close()
    p.check_stats(1)


def test_backend_stops_reading():
    with proxy() as p:
        data = UP * 8
        client = Client(p.port)
        sock = p.accept()
        thread = Backend(client.send, data)
        p.expect_quiet()
        expect(thread.is_alive(), True, 'the client waits')
        expect(digest(read_all(sock, len(data))), digest(data), 'what was sent')
        thread.join()
        client.close_notify()
        expect(read_all(sock), b'', 'after the end')
        sock.close()
        client.read_to_end()
        expect(client.end, 'close_notify', 'end')
        client.sock.close()
    p.check_stats(1)


def test_backend_reset_behind_a_client_that_waits():
    """Nothing is to be done with the back-end then, yet its end is noticed."""
    with proxy('--sndbuf', '65536') as p:
        client = Client(p.port, rcvbuf=65536)
        sock = p.accept()
        sock.setblocking(False)
        client.send(b'x')
        before = p.descriptors()
        with contextlib.suppress(BlockingIOError):
            while True:
                sock.send(DOWN)
                time.sleep(0.05)
        time.sleep(0.5)
        reset(sock)
        p.expect_closed(before - 6)
        expect_no_clean_end(client)
    p.check_stats(1, 'back-end: ')


def test_client_reset_behind_a_backend_that_waits():
    with proxy() as p:
        client = Client(p.port)
        sock = p.accept()
        before = p.descriptors()
        Backend(client.send, UP * 8)
        time.sleep(1)
        reset(client.sock)
        p.expect_closed(before - 6)
        expect_reset(sock)
    p.check_stats(1, 'client: ')


def test_second_address():
    """Of localhost, where ::1 refuses or does not exist."""
    with proxy(backend='localhost:%d') as p:
        both_ways(p)
    p.check_stats(1)


def test_idle():
    with proxy('--idle', '1') as p:
        client = Client(p.port)
        sock = p.accept()
        expect_no_clean_end(client)
        expect_reset(sock)
    p.check_stats(1, 'idle')


def test_stop_waits():
    """SIGTERM: what is there is finished, nobody else gets in."""
    with proxy() as p:
        client = Client(p.port)
        sock = p.accept()
        p.process.send_signal(signal.SIGTERM)
        limit = time.monotonic() + LIMIT
        while time.monotonic() < limit:
            try:
                socket.create_connection(('127.0.0.1', p.port)).close()
            except ConnectionRefusedError:
                break
            except ConnectionResetError:
                pass  # it was in the queue of the socket that closed
            time.sleep(0.05)

        def backend():
            with sock:
                sock.sendall(DOWN)
                sock.shutdown(socket.SHUT_WR)
                return digest(read_all(sock))
        thread = Backend(backend)
        client.send(UP[:100000])
        client.close_notify()
        expect(digest(client.read_to_end()), digest(DOWN), 'what was received')
        expect(client.end, 'close_notify', 'end')
        expect(thread.join(), digest(UP[:100000]), 'what was sent')
        client.sock.close()
        expect(p.process.wait(LIMIT), 0, 'exit status')


def test_second_signal():
    """It does not wait, and what is cut off does not look like a clean end."""
    with proxy(status=1) as p:
        client = Client(p.port)
        sock = p.accept()
        p.process.send_signal(signal.SIGTERM)
        time.sleep(1)
        expect(p.process.poll(), None, 'exit status after one')
        p.process.send_signal(signal.SIGTERM)
        expect_no_clean_end(client)
        expect_reset(sock)
    p.check_stats(1, 'proxy: stopped')


def test_no_more_files():
    """More clients than descriptors: the others wait until one has left."""
    with proxy(files=32 + 2 * 6) as p:
        first = [(Client(p.port), p.accept()) for _ in range(2)]
        waiting = Backend(Client, p.port)
        time.sleep(0.5)
        p.expect_quiet()
        expect(waiting.is_alive(), True, 'the third one waits')
        for number, (client, sock) in enumerate(first):
            client.close_notify()
            sock.close()
            client.read_to_end()
            expect(client.end, 'close_notify', 'end')
            client.sock.close()
            if number == 0:
                third = waiting.join(), p.accept()
                first.append(third)
    p.check_stats(3)


sys.exit(run_tests('proxy', globals()))
