# SPDX-License-Identifier: MIT
"""libktls in Python's ctypes: no header, no type of OpenSSL. And keys of a handshake that Python's own ssl made."""
import ctypes
import errno
import hashlib
import hmac
import os
import shutil
import socket
import ssl
import sys
import tempfile

from proxylib import CERT, KEY, LIMIT, USE, VERSION, VERSIONS

TX, RX = 1, 2
AES_128_GCM, AES_256_GCM, CHACHA20, ARIA_128_GCM = 1, 2, 8, 64
U32, I32, U64, SIZE, TEXT, PTR = (ctypes.c_uint32, ctypes.c_int32, ctypes.c_uint64, ctypes.c_size_t, ctypes.c_char_p,
                                  ctypes.c_void_p)


def struct(name, *fields):
    return type(name, (ctypes.Structure,), {'_fields_': list(fields)})


def of(kind, names):
    return [(name, kind) for name in names.split()]


Keys = struct('ktls_keys', ('size', SIZE), *of(U32, 'version cipher'), ('seq', U64),
              *of(U32, 'secret_len key_len iv_len reserved'), ('secret', ctypes.c_uint8 * 48), ('key', ctypes.c_uint8 * 32),
              ('iv', ctypes.c_uint8 * 12), ('reserved2', ctypes.c_uint8 * 4), ('plain', PTR), ('plain_len', SIZE),
              ('wire', PTR), ('wire_len', SIZE))
Policy = struct('ktls_policy', ('size', SIZE), *of(U32, 'tx rx'), *of(U64, 'offload_after budget'),
                *of(U32, 'record_size record_idle'), ('record_ramp', U64), *of(U32, 'stall_guard expect_no_pad'),
                ('rekey_after', U64), *of(U32, 'rekey_unsupported zerocopy release_ssl reserved'))
DirInfo = struct('ktls_dir_info', *of(U32, 'mode reason asked'), ('sys_errno', I32), ('call', TEXT),
                 *of(U64, 'bytes kernel_bytes rekeys key_records records alerts handshakes again'), ('reserved', U64 * 4))
Info = struct('ktls_info', ('size', SIZE), *of(U32, 'version cipher'), ('cipher_name', TEXT), ('tx', DirInfo), ('rx', DirInfo),
              *of(U64, 'offload_after budget unsent'), *of(U32, 'record_size_asked record_size record_limit record_sizing'),
              ('record_ramp', U64), *of(U32, 'stall_guard_asked stall_guard notsent_lowat reserved'),
              *of(U64, 'file_call guard_waits guard_pushes'), *of(U32, 'expect_no_pad_asked expect_no_pad'),
              *of(U64, 'unacked rekey_after_asked rekey_after'),
              *of(U32, 'rekey_unsupported zerocopy_asked zerocopy zerocopy_reason release_ssl_asked release_ssl'))
Error = struct('ktls_error', ('size', SIZE), *of(I32, 'code alert_sent alert_received sys_errno'), ('call', TEXT),
               *of(U64, 'openssl unsent'), ('text', ctypes.c_char * 160))

# beside the build's own programs, or where the system has libraries
NEAR = os.path.join(os.path.dirname(shutil.which('ktls-httpd')), '../lib/libktls.so.0')
try:
    LIB = ctypes.CDLL(NEAR if os.path.exists(NEAR) else 'libktls.so.0', use_errno=True)
except OSError as e_:
    if '__asan' not in str(e_) and '__ubsan' not in str(e_) and '__tsan' not in str(e_):
        raise
    print('skip anylang: a library with sanitizers is for programs that have them, too')
    sys.exit(0)
for name_, result, *args in (
        ('conn_from_keys', PTR, ctypes.c_int, PTR, PTR, PTR), ('import', PTR, ctypes.c_int, PTR, SIZE, PTR),
        ('export', ctypes.c_ssize_t, PTR, PTR, SIZE), ('conn_free', None, PTR), ('read', ctypes.c_ssize_t, PTR, PTR, SIZE),
        ('write', ctypes.c_ssize_t, PTR, TEXT, SIZE), ('sendfile', ctypes.c_ssize_t, PTR, ctypes.c_int, PTR, SIZE),
        ('pending', SIZE, PTR), ('rekey', ctypes.c_int, PTR, ctypes.c_int), ('flush', ctypes.c_int, PTR, ctypes.c_int),
        ('close', ctypes.c_int, PTR, ctypes.c_int), ('get_info', ctypes.c_int, PTR, PTR), ('fd', ctypes.c_int, PTR),
        ('get_error', ctypes.c_int, PTR, PTR), ('raw_io', ctypes.c_int, PTR), ('raw_sent', ctypes.c_int, PTR, SIZE),
        ('raw_received', ctypes.c_ssize_t, PTR, ctypes.c_int, TEXT, SIZE), ('version', TEXT),
        ('cmsg_parse', ctypes.c_int, TEXT, SIZE, ctypes.c_int), ('policy_init', ctypes.c_int, PTR, SIZE),
        ('mode_str', TEXT, ctypes.c_int), ('reason_name', TEXT, ctypes.c_int), ('cipher_str', TEXT, ctypes.c_int)):
    getattr(LIB, 'ktls_' + name_).restype = result
    getattr(LIB, 'ktls_' + name_).argtypes = args


def call(name, *args):
    """-1 and NULL become an exception that has errno."""
    r = getattr(LIB, 'ktls_' + name)(*args)
    if r is None or r == -1:
        code = ctypes.get_errno()
        raise OSError(code, f'ktls_{name}: {os.strerror(code)}')
    return r


def policy(**fields):
    p = Policy()
    call('policy_init', ctypes.byref(p), ctypes.sizeof(p))
    p.tx = p.rx = {'off': 1, 'require': 2}[USE]
    for name, value in fields.items():
        setattr(p, name, value)
    return p


class Conn:
    """A connection of libktls; sock is not Python's any more."""

    def __init__(self, sock, handle):
        sock.detach()
        self.handle = handle

    def read(self, size):
        """So many bytes, or what there is until the end."""
        data = bytearray()
        buf = ctypes.create_string_buffer(65536)
        while len(data) < size:
            n = call('read', self.handle, buf, min(size - len(data), len(buf)))
            if n == 0:
                break
            data += buf.raw[:n]
        return bytes(data)

    def write(self, data):
        while data:
            data = data[call('write', self.handle, data, len(data)):]

    def sendfile(self, fd, size):
        offset = ctypes.c_int64(0)
        while offset.value < size:
            call('sendfile', self.handle, fd, ctypes.byref(offset), size - offset.value)

    def info(self):
        info = Info(size=ctypes.sizeof(Info))
        call('get_info', self.handle, ctypes.byref(info))
        return info

    def error(self):
        error = Error(size=ctypes.sizeof(Error))
        call('get_error', self.handle, ctypes.byref(error))
        return error

    def export(self):
        image = ctypes.create_string_buffer(call('export', self.handle, None, 0))
        expect_errno(errno.ERANGE, 'export', self.handle, image, len(image) - 1)
        size = call('export', self.handle, image, len(image))
        return image.raw[:size]

    def close(self):
        handle, self.handle = self.handle, None
        call('close', handle, LIMIT * 1000)

    def free(self):
        """Nothing is sent, and the descriptor stays open."""
        fd = LIB.ktls_fd(self.handle)
        LIB.ktls_conn_free(self.handle)
        self.handle = None
        return fd


def expect_errno(code, name, *args):
    try:
        r = call(name, *args)
    except OSError as e:
        if e.errno == code:
            return
        raise AssertionError(f'ktls_{name}: {errno.errorcode.get(e.errno)}, wanted {errno.errorcode[code]}') from e
    raise AssertionError(f'ktls_{name} returned {r}, wanted {errno.errorcode[code]}')


def hkdf_expand_label(name, secret, label, size):
    """RFC 8446 section 7.1, for what one block of the hash has room for."""
    label = b'tls13 ' + label
    info = size.to_bytes(2, 'big') + bytes([len(label)]) + label + b'\0'
    return hmac.digest(secret, info + b'\x01', name)[:size]


def prf(name, secret, seed, size):
    """RFC 5246 section 5."""
    out, a = b'', seed
    while len(out) < size:
        a = hmac.digest(secret, a, name)
        out += hmac.digest(secret, a + seed, name)
    return out[:size]


def receive(sock, size):
    data = b''
    while len(data) < size:
        some = sock.recv(size - len(data))
        if not some:
            raise EOFError
        data += some
    return data


def receive_record(sock):
    head = receive(sock, 5)
    return head + receive(sock, int.from_bytes(head[3:], 'big'))


class Handshake:
    """Python's ssl as the server, with memory BIOs; then what libktls needs of it. Never reads ahead by itself."""

    def __init__(self, sock, ciphers=None):
        self.sock = sock
        self.inp, self.out = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = context.maximum_version = VERSIONS[VERSION]
        context.load_cert_chain(CERT, KEY)
        if ciphers:
            context.set_ciphers(ciphers)
        with tempfile.NamedTemporaryFile('r') as log:
            context.keylog_filename = log.name
            self.tls = context.wrap_bio(self.inp, self.out, server_side=True)
            first, last = self.shake_hands()
            lines = [line.split() for line in log if not line.startswith('#')]
        self.secrets = {label: bytes.fromhex(secret) for label, _, secret in lines}
        self.client_random = bytes.fromhex(lines[0][1])
        # RFC 5246 section 7.4.1.3: behind record and message heads, and the version
        self.server_random = first[11:43]
        self.seq = {TX: self.count(last), RX: 1 if VERSION == '1.2' else 0}
        self.wire = self.plain = b''

    def shake_hands(self):
        first = b''
        while True:
            try:
                self.tls.do_handshake()
                last = self.out.read()
                self.sock.sendall(last)
                return first, last
            except ssl.SSLWantReadError:
                sent = self.out.read()
                first = first or sent
                self.sock.sendall(sent)
                self.inp.write(receive_record(self.sock))

    @staticmethod
    def count(data):
        """Records under the key in the server's last flight: tickets in TLS 1.3, Finished in TLS 1.2."""
        n = 0
        while data:
            n = 0 if data[0] == 20 else n + 1
            data = data[5 + int.from_bytes(data[3:5], 'big'):]
        return n

    def read_one(self):
        """A record that the other library has read and decrypted."""
        self.inp.write(receive_record(self.sock))
        self.plain += self.tls.read(16384)
        self.seq[RX] += 1

    def read_ahead(self, size):
        """Bytes that it has read of the socket, and not looked at."""
        self.inp.write(receive(self.sock, size))
        self.wire += self.inp.read()

    def cipher(self):
        name = self.tls.cipher()[0].replace('_', '')
        return next(c for word, c in (('CHACHA20', CHACHA20), ('AES256', AES_256_GCM), ('AES128', AES_128_GCM)) if word in name)

    def keys(self, direction, secrets=True):
        cipher = self.cipher()
        size = 16 if cipher == AES_128_GCM else 32
        name = hashlib.sha384 if cipher == AES_256_GCM else hashlib.sha256
        keys = Keys(size=ctypes.sizeof(Keys), version=0x0303 if VERSION == '1.2' else 0x0304, cipher=cipher,
                    seq=self.seq[direction])
        if VERSION == '1.3':
            secret = self.secrets['SERVER_TRAFFIC_SECRET_0' if direction == TX else 'CLIENT_TRAFFIC_SECRET_0']
            if secrets:
                put(keys, 'secret', secret)
                return self.ahead(keys, direction)
            put(keys, 'key', hkdf_expand_label(name, secret, b'key', size))
            put(keys, 'iv', hkdf_expand_label(name, secret, b'iv', 12))
            return self.ahead(keys, direction)
        salt = 12 if cipher == CHACHA20 else 4
        block = prf(name, self.secrets['CLIENT_RANDOM'], b'key expansion' + self.server_random + self.client_random,
                    2 * (size + salt))
        n = 1 if direction == TX else 0  # the client's is the first
        put(keys, 'key', block[n * size:][:size])
        put(keys, 'iv', block[2 * size + n * salt:][:salt])
        return self.ahead(keys, direction)

    def ahead(self, keys, direction):
        if direction == RX:
            keys.keep = ctypes.create_string_buffer(self.plain), ctypes.create_string_buffer(self.wire)
            keys.plain, keys.wire = (ctypes.addressof(b) for b in keys.keep)
            keys.plain_len, keys.wire_len = len(self.plain), len(self.wire)
        return keys

    def conn(self, secrets=True, **fields):
        """The connection goes on as one of libktls."""
        tx, rx, p = self.keys(TX, secrets), self.keys(RX, secrets), policy(**fields)
        handle = call('conn_from_keys', self.sock.fileno(), ctypes.byref(tx), ctypes.byref(rx), ctypes.byref(p))
        return Conn(self.sock, handle)


def put(keys, field, data):
    ctypes.memmove(ctypes.addressof(keys) + getattr(Keys, field).offset, data, len(data))
    setattr(keys, field + '_len', len(data))


def accept(listener, ciphers=None):
    sock = listener.accept()[0]
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, LIMIT.to_bytes(8, 'little') + bytes(8))
    return Handshake(sock, ciphers)
