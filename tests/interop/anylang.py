#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""libktls as a program in another language sees it, by ctypes, with keys of Python's own ssl: one line a test.

anylang.py off|require VERSION CERT KEY    what is asked of the kernel, in both directions
"""
import ctypes
import errno
import fcntl
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import traceback

from anylib import (AES_128_GCM, AES_256_GCM, ARIA_128_GCM, LIB, RX, TX, Conn, DirInfo, Error, Info, Keys, Policy, accept, call,
                    expect_errno, policy, put)
from proxylib import CERT, DOWN, LIMIT, MODE, UP, VERSION, Backend, EagerClient, digest, expect, run_tests

HERE = os.path.dirname(os.path.abspath(__file__))
KERNEL = 1 if MODE == 'kernel' else 0  # enum ktls_mode
SOL_TLS, GET_RECORD_TYPE = 282, 2      # linux/tls.h
ALERT, DATA, END = 21, 23, 256         # enum ktls_record
FILE = tempfile.TemporaryFile()
FILE.write(DOWN[:1 << 20])
FILE.flush()


def listening():
    listener = socket.create_server(('127.0.0.1', 0))
    listener.settimeout(LIMIT)
    return listener


def connect(eager=b'', ciphers=None):
    """A client, and the server's end when the handshake is over."""
    with listening() as listener:
        server = Backend(accept, listener, ciphers)
        client = EagerClient(listener.getsockname()[1], eager)
        return client, server.join()


def keys_change():
    """Whether they can, where they are."""
    if MODE == 'user':
        return True
    with open('/proc/net/tls_stat', encoding='ascii') as f:
        return 'TlsTxRekeyOk' in f.read()


def goodbye(client, conn):
    """Both sides end well."""
    client.close_notify()
    server = Backend(conn.close)
    client.read_to_end()
    server.join()
    expect(client.end, 'close_notify', 'the end')


def test_layouts():
    """What this program believes of structs is what the C compiler does."""
    lines = subprocess.run(['ktls-interop-layout'], stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()
    wanted = []
    for s in (Keys, Policy, DirInfo, Info, Error):
        wanted.append(f'{s.__name__} 0 {ctypes.sizeof(s)}')
        for name, _ in s._fields_:
            field = getattr(s, name)
            wanted.append(f'{s.__name__}.{name} {field.offset} {field.size}')
    # ctypes has no name for the bytes between two fields
    expect([line.split(' ', 1) for line in lines], [line.split(' ', 1) for line in wanted], 'offsets and sizes')


def names_of_map():
    path = os.path.join(HERE, 'libktls.map')
    if not os.path.exists(path):
        path = os.path.join(HERE, '../../lib/libktls.map')
    with open(path, encoding='ascii') as f:
        return re.findall(r'^\t(ktls_\w+);', f.read(), re.M)


def test_every_function_is_a_symbol():
    names = names_of_map()
    expect(len(names) > 40, True, 'names')
    for name in names:
        expect(ctypes.cast(getattr(LIB, name), ctypes.c_void_p).value is not None, True, name)
    # what is ours alone is not there
    expect(hasattr(LIB, 'ktls__enter'), False, 'ktls__enter')
    expect(re.fullmatch(rb'\d+\.\d+\.\d+', LIB.ktls_version()) is not None, True, 'version')
    expect((LIB.ktls_mode_str(1), LIB.ktls_reason_name(2), LIB.ktls_cipher_str(1)), (b'kernel', b'POLICY', b'AES-128-GCM'), 'words')


def test_no_connection():
    """Each call says so of NULL, and none of them falls over it."""
    for name in ('handshake read write sendfile readv peek writev sendfilev splice_in splice_out offload set_policy rekey flush '
                 'shutdown_write shutdown close detach get_info get_error export fd raw_io raw_sent raw_received').split():
        # another prototype than the one that the others use
        f = ctypes.CFUNCTYPE(ctypes.c_ssize_t, *[ctypes.c_void_p] * 4, use_errno=True)(('ktls_' + name, LIB))
        ctypes.set_errno(0)
        # int comes back in half of the register
        expect((ctypes.c_int(f(None, None, None, None)).value, ctypes.get_errno()), (-1, errno.EINVAL), name)
    LIB.ktls_conn_free(None)


def transfer(secrets=True, ciphers=None):
    """Both ways, with data that the other library has read too early: a whole record, and one and a half."""
    up, down = UP[:1 << 20], DOWN[:1 << 20]
    client, hs = connect(up[:40000], ciphers)
    hs.read_one()
    hs.read_ahead(20007)
    conn = hs.conn(secrets)
    expect(LIB.ktls_pending(conn.handle) > 0, True, 'pending')

    def serve():
        early = conn.read(40000)
        conn.write(digest(early).encode())
        conn.sendfile(FILE.fileno(), len(down))
        late = conn.read(len(up) + 1)  # to its end
        info = conn.info()
        conn.close()
        return early, late, info
    server = Backend(serve)
    client.receive(64 + len(down))
    client.send(up)
    client.close_notify()
    client.read_to_end()
    early, late, info = server.join()
    expect(client.end, 'close_notify', 'the end')
    expect(client.got[:64].decode(), digest(up[:40000]), 'what was there early')
    expect((digest(early), digest(late)), (digest(up[:40000]), digest(up)), 'what was received')
    expect(digest(client.got[64:]), digest(down), 'what was sent')
    expect((info.tx.mode, info.rx.mode), (KERNEL, KERNEL), 'modes')
    expect((info.tx.bytes, info.rx.bytes, info.unsent), (64 + len(down), 40000 + len(up), 0), 'counts')
    expect(info.tx.kernel_bytes, KERNEL * info.tx.bytes, 'bytes of the kernel')
    expect(info.version, 0x0303 if VERSION == '1.2' else 0x0304, 'version')
    expect(info.cipher_name, None if VERSION == '1.2' else b'TLS_AES_256_GCM_SHA384', 'cipher')


def test_transfer():
    transfer()


def test_transfer_by_keys():
    """Key and IV instead of secrets in TLS 1.3, and the other ciphers in TLS 1.2."""
    if VERSION == '1.3':
        transfer(secrets=False)
        return
    transfer(ciphers='ECDHE-ECDSA-AES128-GCM-SHA256')
    transfer(ciphers='ECDHE-ECDSA-CHACHA20-POLY1305')


def test_new_keys():
    client, hs = connect()
    conn = hs.conn()
    conn.write(UP[:10000])
    if VERSION == '1.3' and keys_change():
        expect(call('rekey', conn.handle, 1), 0, 'rekey')
    else:
        expect_errno(errno.ENOTSUP, 'rekey', conn.handle, 1)
    conn.write(UP[10000:30000])
    client.receive(30000)
    expect(digest(client.got), digest(UP[:30000]), 'what was sent')
    # the answer comes in front of this
    client.send(DOWN[:20000])
    expect(digest(conn.read(20000)), digest(DOWN[:20000]), 'what was received')
    info = conn.info()
    new = 1 if VERSION == '1.3' and keys_change() else 0
    expect((info.tx.rekeys, info.rx.rekeys), (new, new), 'new keys')
    goodbye(client, conn)


def no_secrets_no_new_keys():
    """The peer's KeyUpdate ends it, and the peer is told."""
    with listening() as listener, tempfile.TemporaryFile('w+') as said:
        server = Backend(accept, listener)
        with subprocess.Popen(['openssl', 's_client', '-brief', '-CAfile', CERT, '-connect', '127.0.0.1:%d' % listener.getsockname()[1]],
                              stdin=subprocess.PIPE, stdout=said, stderr=said) as client:
            conn = server.join().conn(secrets=False)
            expect_errno(errno.ENOTSUP, 'rekey', conn.handle, 0)
            client.stdin.write(b'K\n')
            client.stdin.flush()
            buf = ctypes.create_string_buffer(100)
            expect_errno(errno.EKEYEXPIRED, 'read', conn.handle, buf, len(buf))
            expect(conn.error().alert_sent, 80, 'the alert')
            LIB.ktls_close(conn.handle, 0)
            client.stdin.close()
        said.seek(0)
        expect('alert internal error' in said.read(), True, 'what the peer says')


if VERSION == '1.3':
    test_no_secrets_no_new_keys = no_secrets_no_new_keys


def serve_in_child(channel):
    """What it was given goes on here, in another process."""
    image, fds, _, _ = socket.recv_fds(channel, 1 << 16, 1)
    p = policy()
    conn = Conn(socket.socket(fileno=fds[0]), call('import', fds[0], image, len(image), ctypes.byref(p)))
    conn.write(digest(conn.read(4000)).encode())
    new = VERSION == '1.3' and keys_change()
    if new:
        call('rekey', conn.handle, 1)
    conn.sendfile(FILE.fileno(), 1 << 20)
    expect(digest(conn.read(30001)), digest(DOWN[:30000]), 'what the child received')
    info = conn.info()
    expect((info.tx.mode, info.rx.mode), (KERNEL, KERNEL), 'modes')
    expect((info.tx.rekeys, info.rx.rekeys), (int(new), int(new)), 'new keys')
    expect((info.tx.bytes, info.rx.bytes), (64 + (1 << 20), 34000), 'counts of the child')
    conn.close()


def child_of(channel):
    pid = os.fork()
    if pid == 0:
        signal.alarm(LIMIT)
        try:
            serve_in_child(channel)
            os._exit(0)
        except BaseException:  # pylint: disable=broad-except
            traceback.print_exc(file=sys.stdout)
            sys.stdout.flush()
        os._exit(1)
    channel.close()
    return pid


def test_hand_over():
    """Socket and image to another process, in the middle of a record that was read in part."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = child_of(theirs)
    client, hs = connect(UP[:5000])
    conn = hs.conn()
    first = conn.read(1000)
    image = conn.export()
    buf = ctypes.create_string_buffer(10)
    expect_errno(errno.ENOTCONN, 'read', conn.handle, buf, len(buf))
    expect_errno(errno.ENOTCONN, 'write', conn.handle, b'x', 1)
    socket.send_fds(ours, [image], [LIB.ktls_fd(conn.handle)])
    os.close(conn.free())
    ours.close()
    client.receive(64 + (1 << 20))
    client.send(DOWN[:30000])
    client.close_notify()
    client.read_to_end()
    expect(os.waitpid(pid, 0)[1], 0, 'the child')
    expect(client.end, 'close_notify', 'the end')
    expect(digest(first), digest(UP[:1000]), 'what was read before')
    expect(client.got[:64].decode(), digest(UP[1000:5000]), 'what was read behind')
    expect(digest(client.got[64:]), digest(DOWN[:1 << 20]), 'what was sent')


def test_wrong_images():
    client, hs = connect()
    conn = hs.conn()
    image = conn.export()
    fd = conn.free()
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    other_format = image[:8] + bytes([image[8] ^ 0xff]) + image[9:]
    with socket.socket() as stranger, socket.socket(type=socket.SOCK_DGRAM) as udp, socket.create_server(('', 0)) as other:
        stranger.connect(('127.0.0.1', other.getsockname()[1]))
        big = ctypes.create_string_buffer(bytes(policy()) + b'\1' * 8)
        ctypes.cast(big, ctypes.POINTER(Policy)).contents.size = ctypes.sizeof(Policy) + 8
        for code, *args in (
                (errno.EINVAL, fd, None, len(image), None), (errno.EINVAL, fd, image, len(image), ctypes.byref(policy(tx=3))),
                (errno.E2BIG, fd, image, len(image), big), (errno.EMSGSIZE, fd, image, 0, None),
                (errno.EMSGSIZE, fd, image, 4, None), (errno.EMSGSIZE, fd, image, 9, None),
                (errno.EMSGSIZE, fd, image, len(image) - 1, None),
                (errno.EMSGSIZE, fd, image + b'\0', len(image) + 1, None),
                (errno.EBADMSG, fd, os.urandom(len(image)), len(image), None),
                (errno.EPROTONOSUPPORT, fd, other_format, len(image), None),
                (errno.ESTALE, stranger.fileno(), image, len(image), None), (errno.EPROTOTYPE, udp.fileno(), image, len(image), None),
                (errno.ENOTSOCK, FILE.fileno(), image, len(image), None), (errno.EBADF, 9999, image, len(image), None)):
            expect_errno(code, 'import', *args)
    expect(fcntl.fcntl(fd, fcntl.F_GETFL), flags, 'flags of the descriptor')
    p = policy()
    conn = Conn(socket.socket(fileno=fd), call('import', fd, image, len(image), ctypes.byref(p)))
    conn.write(b'still there')
    client.receive(11)
    expect(bytes(client.got), b'still there', 'what was sent')
    goodbye(client, conn)


def changed(keys, **fields):
    keys = Keys.from_buffer_copy(keys)
    for name, value in fields.items():
        if isinstance(value, bytes):
            put(keys, name, value)
        else:
            setattr(keys, name, value)
    return keys


def wrong_keys(tx, rx, other):
    """errno, and the two that it is for. other: rx without its secret."""
    if VERSION == '1.3':
        yield errno.EINVAL, tx, other
    both = [({'size': 8}, errno.EINVAL), ({'cipher': 0}, errno.EPROTONOSUPPORT), ({'cipher': 3}, errno.EPROTONOSUPPORT),
            ({'cipher': 256}, errno.EPROTONOSUPPORT), ({'version': 0x0302}, errno.EPROTONOSUPPORT)]
    if VERSION == '1.3':
        both.append(({'cipher': ARIA_128_GCM}, errno.EPROTONOSUPPORT))
    for fields, code in both:
        yield code, changed(tx, **fields), changed(rx, **fields)
    for fields in ({'size': 0}, {'reserved': 1}, {'version': 0x0303 if tx.version == 0x0304 else 0x0304},
                   {'cipher': AES_128_GCM if tx.cipher == AES_256_GCM else AES_256_GCM}, {'secret_len': 47}, {'secret_len': 49},
                   {'key_len': 33}, {'key_len': 15, 'secret_len': 0}, {'iv_len': 5}, {'wire_len': 5, 'wire': None},
                   {'plain_len': 5, 'plain': None}, {'wire_len': 1 << 40}):
        yield errno.EINVAL, tx, changed(rx, **fields)
    early = ctypes.addressof(tx)
    yield errno.EINVAL, changed(tx, wire=early, wire_len=5), rx
    yield errno.EINVAL, changed(tx, plain=early, plain_len=5), rx
    yield errno.EINVAL, None, rx
    yield errno.EINVAL, tx, None


def test_wrong_keys():
    client, hs = connect()
    tx, rx, p = hs.keys(TX), hs.keys(RX), policy()
    fd = hs.sock.fileno()
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)

    def refused(code, fd, tx, rx, p=p):
        expect_errno(code, 'conn_from_keys', fd, tx and ctypes.byref(tx), rx and ctypes.byref(rx), ctypes.byref(p))
    for code, a, b in wrong_keys(tx, rx, hs.keys(RX, secrets=False)):
        refused(code, fd, a, b)
    refused(errno.EINVAL, fd, tx, rx, policy(record_size=511))
    refused(errno.EINVAL, fd, tx, rx, policy(size=4))
    refused(errno.EBADF, -1, tx, rx)
    refused(errno.ENOTSOCK, FILE.fileno(), tx, rx)
    with socket.socket(type=socket.SOCK_DGRAM) as udp:
        refused(errno.EPROTOTYPE, udp.fileno(), tx, rx)
    expect(fcntl.fcntl(fd, fcntl.F_GETFL), flags, 'flags of the descriptor')
    conn = hs.conn()
    if MODE == 'kernel':
        refused(errno.EEXIST, fd, tx, rx)
    conn.write(b'still there')
    client.receive(11)
    expect(bytes(client.got), b'still there', 'what was sent')
    goodbye(client, conn)


def cmsg(record, level=SOL_TLS, kind=GET_RECORD_TYPE):
    """As cmsg(3) has it on 64 bits."""
    return struct.pack('@Nii', 17, level, kind) + bytes([record]) + bytes(7)


def test_records_of_control_data():
    for record in (ALERT, 22, DATA):
        expect(call('cmsg_parse', cmsg(record), 24, 0), record, 'a part')
        expect(call('cmsg_parse', cmsg(record), 24, socket.MSG_EOR), record | END, 'its end')
    for control, size, flags in ((None, 0, 0), (cmsg(DATA), 0, 0), (cmsg(DATA), 15, 0), (cmsg(DATA, level=1), 24, 0),
                                 (cmsg(DATA, kind=1), 24, 0), (cmsg(DATA), 24, socket.MSG_CTRUNC)):
        expect_errno(errno.EPROTO, 'cmsg_parse', control, size, flags)


def receive_raw(sock):
    expect(select.select([sock], [], [], LIMIT)[0], [sock], 'something to read')
    data, control, flags, _ = sock.recvmsg(65536, 64)
    level, kind, value = control[0]
    control = cmsg(value[0], level, kind)
    return data, call('cmsg_parse', control, len(control), flags)


def test_own_calls_on_the_socket():
    client, hs = connect()
    conn = hs.conn()
    may = call('raw_io', conn.handle)
    expect(may, (TX | RX) * KERNEL, 'raw_io')
    if MODE == 'user':
        expect_errno(errno.EINVAL, 'raw_sent', conn.handle, 1)
        goodbye(client, conn)
        return
    with socket.socket(fileno=os.dup(LIB.ktls_fd(conn.handle))) as sock:
        client.send(UP[:1000])
        data, record = receive_raw(sock)
        expect((record, digest(data)), (DATA | END, digest(UP[:1000])), 'what was received')
        expect(call('raw_received', conn.handle, record, data, len(data)), 1000, 'raw_received')
        expect(sock.send(DOWN[:3000]), 3000, 'send')
        expect(call('raw_sent', conn.handle, 3000), 0, 'raw_sent')
        client.receive(3000)
        expect(digest(client.got), digest(DOWN[:3000]), 'what was sent')
        expect(call('flush', conn.handle, LIMIT * 1000), 0, 'flush')
        info = conn.info()
        expect((info.tx.bytes, info.rx.bytes, info.unsent), (3000, 1000, 0), 'counts')
        client.close_notify()
        data, record = receive_raw(sock)
        expect((record, data), (ALERT | END, b'\1\0'), 'close_notify')
        expect(call('raw_received', conn.handle, record, data, len(data)), 0, 'the end')
    expect(conn.read(1), b'', 'the end')
    server = Backend(conn.close)
    client.read_to_end()
    server.join()
    expect(client.end, 'close_notify', 'the end')


sys.exit(run_tests('anylang', globals()))
