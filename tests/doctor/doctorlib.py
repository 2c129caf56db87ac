# SPDX-License-Identifier: MIT
"""What the tests of ktls-doctor share: running it, looking at what it says, one line a test."""
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import traceback

USER = ['setpriv', '--reuid', '1000', '--regid', '1000', '--clear-groups']
KEYS = ['program', 'version', 'status', 'kernel', 'container', 'seccomp', 'kernel_tls', 'ciphers', 'openssl',
        'sysctls', 'nics', 'host', 'checks']
failed = False


def test(name, function, *args):
    """A line for one test; what it raises is why it failed."""
    global failed
    start = time.monotonic()
    try:
        function(*args)
        print('ok %s %.1f s' % (name, time.monotonic() - start), flush=True)
    except Exception:
        failed = True
        print('FAIL %s' % name)
        traceback.print_exc(file=sys.stdout)
        sys.stdout.flush()


def run(*options, prefix=(), **env):
    """Exit status, standard output, standard error."""
    r = subprocess.run([*prefix, 'ktls-doctor', *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, timeout=60, env={**os.environ, **env})
    return r.returncode, r.stdout, r.stderr


class Answer:
    """What --json says, of a run that must be in order."""
    def __init__(self, *options, prefix=(), **env):
        self.status, out, err = run('--json', *options, prefix=prefix, **env)
        assert err == b'', err
        assert out.isascii(), out
        self.all = json.loads(out)
        assert list(self.all) == KEYS, list(self.all)
        assert self.all['status'] == self.status, (self.status, self.all['status'])

    def __getitem__(self, key):
        return self.all[key]

    def check(self, name):
        """(level, text, advice) of the one check of this name."""
        found = [c for c in self.all['checks'] if c['id'] == name]
        assert len(found) == 1, (name, self.all['checks'])
        return found[0]['level'], found[0]['text'], found[0]['advice'] or ''

    def none(self, name):
        assert not [c for c in self.all['checks'] if c['id'] == name], (name, self.all['checks'])

    def want(self, name, level, text='', advice=''):
        """The check is there and says this."""
        found = self.check(name)
        assert found[0] == level and text in found[1] and advice in found[2], (name, level, text, advice, found)


def screen(status, *options, prefix=(), lines=30, **env):
    """The text for people: one screen, 80 columns, nothing on standard error; returns it."""
    got, out, err = run(*options, prefix=prefix, **env)
    text = out.decode('ascii')
    print(text)
    assert got == status, (got, status)
    assert err == b'', err
    rows = text.splitlines()
    assert 5 < len(rows) <= lines, len(rows)
    assert all(len(row) <= 80 for row in rows), [row for row in rows if len(row) > 80]
    assert all(row == row.rstrip() for row in rows), rows
    return text


def certificate(directory):
    cert, key = os.path.join(directory, 'cert.pem'), os.path.join(directory, 'key.pem')
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
                    '-days', '2', '-keyout', key, '-out', cert, '-subj', '/CN=localhost', '-addext',
                    'subjectAltName=DNS:localhost,IP:127.0.0.1'], check=True, stderr=subprocess.DEVNULL)
    return cert, key


class Server:
    """Accepts one connection, and remembers what came: only close_notify is a clean end."""
    def __init__(self, cert, key, version, ciphers=None):
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert, key)
        self.context.minimum_version = self.context.maximum_version = version
        if ciphers:
            self.context.set_ciphers(ciphers)
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.got = None
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        try:
            raw, _ = self.listener.accept()
            raw.settimeout(30)
            with self.context.wrap_socket(raw, server_side=True, suppress_ragged_eofs=False) as tls:
                self.got = tls.recv(100)
                tls.unwrap()
        except OSError as error:
            self.got = error

    def end(self):
        self.thread.join(30)
        self.listener.close()
        assert self.got == b'', self.got
