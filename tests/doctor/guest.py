#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""guest.py: ktls-doctor in the guest of tests/vm/run: kernel TLS taken away, given back, with a cipher missing, in use."""
import glob
import os
import re
import socket
import ssl
import subprocess
import sys
import time

import doctorlib
from doctorlib import USER, Answer, Server, certificate, screen, test

RELEASE = os.uname().release
KERNEL = tuple(int(n) for n in re.match(r'(\d+)\.(\d+)', RELEASE).groups())
REKEY = KERNEL >= (6, 14)       # changes keys, and tells everybody of NICs since 6.15
GOOD = 0 if REKEY else 1        # the exit status with all that this kernel has
COMMON = ['AES-128-GCM', 'AES-256-GCM', 'AES-128-CCM', 'ChaCha20-Poly1305']
hidden = {}


def command(*words):
    subprocess.run(words, check=True)


def hide(module):
    """Unload a module, and have none on disk."""
    command('modprobe', '-r', module)
    for path in glob.glob('/lib/modules/%s/**/%s.ko' % (RELEASE, module), recursive=True):
        hidden[module] = path
        os.rename(path, path + '.hidden')
    assert module in hidden, module


def show(module):
    os.rename(hidden[module] + '.hidden', hidden[module])


def load(*modules):
    """Those of them that this kernel has."""
    subprocess.run(['modprobe', '-aq', *modules], check=False)


def no_autoload():
    """Looking for the ciphers that this kernel lacks would be most of the time of the other tests."""
    load('veth', 'algif_aead', 'pcrypt', 'crypto_user', 'ctr', 'gcm', 'ccm')
    with open('/proc/sys/kernel/modprobe', 'w', encoding='ascii') as f:
        f.write('/nonexistent\n')


def is_in(cipher):
    return [cipher[k] for k in ('tls12_tx', 'tls12_rx', 'tls13_tx', 'tls13_rx')]


def no_module():
    for prefix in ((), USER):
        screen(2, prefix=prefix)
        a = Answer(prefix=prefix)
        assert a.status == 2 and a['kernel_tls']['reason'] == 'NO_ULP' and a['kernel_tls']['errno'] == 2, a.all
        assert a['kernel']['module_on_disk'] == 'no' and not a['kernel']['module_loaded'], a['kernel']
        a.want('module', 'no', 'NO_ULP', 'CONFIG_TLS')
    show('tls')
    # who may not load it is told who can
    a = Answer(prefix=USER)
    assert a.status == 2 and a['kernel']['module_on_disk'] == 'yes', a.all
    a.want('module', 'no', 'NO_ULP', 'modprobe tls')
    # root's try loads it
    a = Answer()
    assert a.status == 1 and a['kernel_tls']['reason'] == 'NONE' and os.path.exists('/sys/module/tls'), a.all
    no_autoload()
    assert Answer(prefix=USER)['kernel_tls']['reason'] == 'NONE'


def no_cipher(cert, key):
    screen(1)
    a = Answer()
    assert a.status == 1, a.all
    assert is_in(a['ciphers']['ChaCha20-Poly1305']) == [False] * 4, a['ciphers']
    assert is_in(a['ciphers']['AES-256-GCM']) == [True] * 4, a['ciphers']
    a.want('ciphers', 'no', 'ChaCha20-Poly1305', 'modprobe chacha20poly1305')
    server = Server(cert, key, ssl.TLSVersion.TLSv1_2, 'ECDHE-ECDSA-CHACHA20-POLY1305')
    a = Answer('--host', 'localhost:%d' % server.port)
    server.end()
    for name in ('tx', 'rx'):
        assert a['host'][name]['mode'] == 'user' and a['host'][name]['reason'] == 'CIPHER_KERNEL', a['host']
        a.want('host-' + name, 'no', 'CIPHER_KERNEL')
    # as advised; what it is made of would otherwise come by itself
    show('chacha20poly1305')
    command('modprobe', 'chacha20poly1305')
    load('chacha', 'chacha_generic', 'chacha-x86_64', 'poly1305_generic', 'poly1305-x86_64')
    a = Answer()
    assert is_in(a['ciphers']['ChaCha20-Poly1305']) == [True] * 4, a['ciphers']
    a.want('ciphers', 'ok')


def everything(prefix):
    """What this kernel has, by what is known of it."""
    text = screen(GOOD, prefix=prefix)
    assert 'Kernel TLS engages here' in text.splitlines()[-1]
    a = Answer(prefix=prefix)
    assert a.status == GOOD and a['kernel']['release'] == RELEASE, a.all
    assert a['kernel']['package'] and a['kernel']['upstream'].startswith('%d.%d.' % KERNEL), a['kernel']
    have = a['kernel_tls']
    assert have['reason'] == 'NONE' and have['errno'] == 0 and have['call'] is None, have
    assert (have['rekey'], have['no_pad'], have['splice'], have['zerocopy']) == (REKEY, True, True, True), have
    assert have['max_payload'] == (KERNEL >= (6, 19)), have
    assert have['diag'] == (KERNEL >= (6, 15) or not prefix), have
    for name in COMMON:
        assert is_in(a['ciphers'][name]) == [True] * 4 and a['ciphers'][name]['driver'], (name, a['ciphers'])
    a.want('module', 'ok')
    a.want('new-keys', 'ok' if REKEY else 'note')
    assert a['ciphers']['AES-128-GCM']['async'] == (KERNEL < (6, 15)), a['ciphers']
    a.want('crypto', 'ok' if REKEY else 'info', '' if REKEY else 'aes')
    a.want('sysctls', 'ok')
    if not REKEY:
        a.want('fixes', 'ok')


def risks():
    def sysctl(value):
        with open('/proc/sys/net/ipv4/tcp_notsent_lowat', 'w', encoding='ascii') as f:
            f.write(value)
    sysctl('16384')
    a = Answer()
    sysctl('4294967295')
    assert a.status == 1, a.all
    a.want('notsent-lowat', 'note', '=16384')
    a = Answer(KTLS_DISABLE='1')
    assert a.status == 1, a.all
    a.want('environment', 'note', 'KTLS_DISABLE')
    a = Answer(prefix=['unshare', '-n'])
    assert a.status == 2, a.all
    a.want('module', 'no', '', 'ip link set lo up')


def interfaces():
    command('ip', 'link', 'add', 'dr0', 'type', 'veth', 'peer', 'name', 'dr1')
    a = Answer()
    command('ip', 'link', 'del', 'dr0')
    assert sorted(n['name'] for n in a['nics']) == ['dr0', 'dr1'], a['nics']
    assert all((n['tx'], n['rx']) == ('no', 'no') for n in a['nics']), a['nics']
    a.want('nic', 'info', 'dr0')


def asynchronous():
    """What ktls-vm-async runs has to use the driver while it looks; so httpd() is run there."""
    command('ktls-vm-async', 'pcrypt', sys.argv[0], 'asynchronous')


def httpd(cert, key, asynchronous):
    """A connection of ktls-httpd that is in the kernel and stays, and meanwhile --host at the same server."""
    server = subprocess.Popen(['ktls-httpd', '--root', '/tmp', '--cert', cert, '--key', key, '--listen', '127.0.0.1:0',
                               '--tx', 'require', '--rx', 'require'], stdout=subprocess.PIPE)
    try:
        port = int(server.stdout.readline().split(b':')[-1])
        context = ssl.create_default_context(cafile=cert)
        with context.wrap_socket(socket.create_connection(('127.0.0.1', port)), server_hostname='localhost') as client:
            client.sendall(b'GET /cert.pem HTTP/1.1\r\nHost: localhost\r\n\r\n')
            assert client.recv(100).startswith(b'HTTP/1.1 200'), port
            a = Answer('--host', 'localhost:%d' % port, SSL_CERT_FILE=cert)
            time.sleep(0.5)
    finally:
        server.terminate()
        server.wait(30)
    assert a.status == GOOD and a['host']['tx']['mode'] == a['host']['rx']['mode'] == 'kernel', a.all
    driver = a['ciphers']['AES-128-GCM']
    assert driver['driver'].startswith('pcrypt(') == asynchronous, driver
    if asynchronous:
        assert driver['async'], driver
        a.want('crypto', 'info', 'pcrypt(')


def host(cert, key):
    for version, name in ((ssl.TLSVersion.TLSv1_2, 'TLSv1.2'), (ssl.TLSVersion.TLSv1_3, 'TLSv1.3')):
        for prefix in ((), USER):
            told = KERNEL >= (6, 15) or not prefix
            server = Server(cert, key, version)
            a = Answer('--host', '127.0.0.1:%d' % server.port, prefix=prefix)
            server.end()
            assert a.status == GOOD and a['host']['version'] == name, a.all
            for direction in ('tx', 'rx'):
                assert a['host'][direction]['mode'] in ('kernel', 'kernel' if told else 'unknown'), a['host']
                assert a['host'][direction]['reason'] == 'NONE', a['host']
                a.want('host-' + direction, 'ok', 'kernel')
            assert a['host']['nic']['name'] == 'lo', a['host']
            server = Server(cert, key, version)
            text = screen(GOOD, '--host', 'localhost:%d' % server.port, prefix=prefix, lines=36)
            server.end()
            assert re.search(r'^OK +host-tx +kernel\b', text, re.M), text
    server = Server(cert, key, ssl.TLSVersion.TLSv1_3)
    a = Answer('--host', 'localhost:%d' % server.port, KTLS_DISABLE='1')
    server.end()
    assert a['host']['tx']['reason'] == a['host']['rx']['reason'] == 'DISABLED', a['host']


def main():
    if sys.argv[1:] == ['asynchronous']:
        httpd('/tmp/cert.pem', '/tmp/key.pem', True)
        return 0
    cert, key = certificate('/tmp')
    # as long as nobody has used them they can be taken away
    hide('tls')
    hide('chacha20poly1305')
    test('module missing, and there', no_module)
    test('cipher missing, and there', no_cipher, cert, key)
    test('all there, root', everything, ())
    test('all there, uid 1000', everything, USER)
    test('risks', risks)
    test('interfaces', interfaces)
    test('ktls-httpd', httpd, cert, key, False)
    test('asynchronous crypto', asynchronous)
    test('--host in the kernel', host, cert, key)
    return 1 if doctorlib.failed else 0


sys.exit(main())
