#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""files.py: ktls-doctor on a host without kernel TLS, and with files of /proc that say anything at all."""
import os
import random
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading

import doctorlib
from doctorlib import Answer, Server, certificate, run, screen, test

tmp = tempfile.mkdtemp()
BUILD = 'Linux version %s (debian-kernel@lists.debian.org) (gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0, GNU ld ' \
    '(GNU Binutils for Debian) 2.40) #1 SMP PREEMPT_DYNAMIC Debian %s (2026-01-01)\n'
CRYPTO = '''name         : gcm(aes)
driver       : gcm_base(ctr(aes-generic),ghash-generic)
module       : gcm
priority     : 100
internal     : no
type         : aead
async        : no

name         : gcm(aes)
driver       : __generic-gcm-aesni
priority     : 900
internal     : yes
async        : no

name         : gcm(aes)
driver       : generic-gcm-aesni
priority     : 400
internal     : no
async        : yes

name         : rfc7539(chacha20,poly1305)
driver       : rfc7539(chacha20-simd,poly1305-simd)
priority     : 300
async        : no
'''


def tree(files):
    """A directory with these files, for KTLS_DOCTOR_ROOT."""
    root = tempfile.mkdtemp(dir=tmp)
    for name, text in files.items():
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as f:
            f.write(text if isinstance(text, bytes) else text.encode())
    return root


def ask(files):
    return Answer(KTLS_DOCTOR_ROOT=tree(files))


def debian(release, package):
    return {'proc/sys/kernel/osrelease': release + '\n', 'proc/version': BUILD % (release, package)}


def plain():
    a = Answer()
    usable = a['kernel_tls'] and a['kernel_tls']['reason'] == 'NONE'
    screen(a.status)
    if usable:
        assert a.status in (0, 1), a.status
        return
    assert a.status == 2, a.status
    assert a.check('module')[0] == 'no' and a.check('module')[2], a.check('module')
    a.none('ciphers')
    assert all(not c['tls12_tx'] and not c['tls13_rx'] for c in a['ciphers'].values())


def command_line():
    for options in (['--nonsense'], ['argument'], ['--host'], ['--host', 'nowhere'], ['--host', 'a:b'],
                    ['--host', 'a:65536'], ['--host', ':443'], ['--host', 'a' * 400 + ':443']):
        status, out, err = run(*options)
        assert status == 64 and out == b'' and b'Try ktls-doctor --help.' in err, (options, status, out, err)
    status, out, err = run('--help')
    assert status == 0 and out.startswith(b'usage: ktls-doctor') and err == b'', (status, out, err)
    status, out, err = run('--version')
    assert status == 0 and out.startswith(b'ktls-doctor 0.'), (status, out, err)
    with open('/dev/full', 'wb') as full:
        r = subprocess.run(['ktls-doctor'], stdout=full, stderr=subprocess.PIPE)
        assert r.returncode == 3 and b'standard output' in r.stderr, r


def fixes():
    a = ask(debian('6.1.0-40-cloud-amd64', '6.1.170-1'))
    assert a['kernel']['upstream'] == '6.1.170' and a['kernel']['package'] == '6.1.170-1', a['kernel']
    a.want('fixes', 'note', 'lacks', '6.1.189 has all')
    lacks = {f['fixed'] for f in a['kernel']['missing_fixes']}
    assert lacks == {'6.1.175', '6.1.183', '6.1.184', '6.1.185', '6.1.187', '6.1.188', '6.1.189'}, lacks
    a.want('kernel', 'info', 'package 6.1.170-1')
    for release, package in (('6.1.0-56-cloud-amd64', '6.1.192-2'), ('6.12.117+deb13-amd64', '6.12.117-1')):
        a = ask(debian(release, package))
        assert a['kernel']['missing_fixes'] == [] and a['kernel']['fixes_listed'], a['kernel']
        a.want('fixes', 'ok', 'all that are known')
    a = ask({'proc/sys/kernel/osrelease': '6.12.74-foo'})
    lacks = [f['fixed'] for f in a['kernel']['missing_fixes']]
    assert '6.12.75' in lacks and '6.12.55' not in lacks, lacks
    a = ask({'proc/sys/kernel/osrelease': '6.8.0-45-generic\n',
             'proc/version_signature': 'Ubuntu 6.8.0-45.45-generic 6.8.12\n'})
    assert a['kernel']['upstream'] == '6.8.12' and a['kernel']['package'] == '6.8.0-45.45-generic', a['kernel']
    assert not a['kernel']['fixes_listed']
    a.want('fixes', 'info', 'no list')


def sysctls():
    good = {'proc/sys/net/ipv4/tcp_notsent_lowat': '4294967295\n', 'proc/sys/net/ipv4/tcp_wmem': '4096\t16384\t4194304\n'}
    a = ask(good)
    a.want('sysctls', 'ok')
    assert a['sysctls'] == {'tcp_notsent_lowat': [4294967295], 'tcp_wmem': [4096, 16384, 4194304]}, a['sysctls']
    a = ask({**good, 'proc/sys/net/ipv4/tcp_notsent_lowat': '16384\n'})
    a.want('notsent-lowat', 'note', '=16384', 'tcp_notsent_lowat=131072')
    a.none('tcp-wmem')
    ask({**good, 'proc/sys/net/ipv4/tcp_notsent_lowat': '131072\n'}).want('sysctls', 'ok')
    ask({**good, 'proc/sys/net/ipv4/tcp_notsent_lowat': '131071\n'}).want('notsent-lowat', 'note')
    for wmem in ('4096\t4096\t4194304', '4096 16384 65536'):
        a = ask({**good, 'proc/sys/net/ipv4/tcp_wmem': wmem})
        a.want('tcp-wmem', 'note', '', '4096 16384 4194304')
        a.none('sysctls')
    ask({}).want('sysctls', 'info', 'cannot be seen')
    a = ask({**good, 'proc/sys/net/ipv4/tcp_wmem': '4096 -1 99999999999999999999999'})
    a.want('sysctls', 'info')
    assert a['sysctls']['tcp_wmem'] == [4096], a['sysctls']


def crypto():
    a = ask({'proc/crypto': CRYPTO})
    assert a['ciphers']['AES-128-GCM']['driver'] == 'generic-gcm-aesni', a['ciphers']
    assert a['ciphers']['AES-256-GCM']['async'], a['ciphers']
    chacha = [c for n, c in a['ciphers'].items() if n.lower().startswith('chacha')]
    assert chacha[0]['driver'] == 'rfc7539(chacha20-simd,poly1305-simd)' and not chacha[0]['async'], chacha
    assert a['ciphers']['AES-128-CCM']['driver'] is None
    broken = CRYPTO.replace('priority     : 400', 'priority     : many').replace('driver       : gcm_base(', 'driver:(')
    assert ask({'proc/crypto': broken})['ciphers']['AES-128-GCM']['driver'] == '(ctr(aes-generic),ghash-generic)'


def surroundings():
    version = {'proc/sys/kernel/osrelease': '6.12.117\n'}
    disk = {'lib/modules/6.12.117/kernel/net/tls/tls.ko.xz': ''}
    cases = [
        ({}, None, 'no-directory', 'takes no modules'),
        ({'proc/modules': 'x\n', **disk}, None, 'yes', '/etc/modules-load.d/tls.conf'),
        ({'proc/modules': 'x\n', 'lib/modules/6.12.117/modules.order': ''}, None, 'no', 'CONFIG_TLS'),
        ({'proc/modules': 'x\n', 'usr/lib/modules/6.12.117/modules.builtin': 'kernel/net/tls/tls.ko\n'}, None,
         'builtin', ''),
        ({'proc/modules': 'x\n', **disk, 'proc/sys/kernel/modules_disabled': '1\n'}, None, 'yes', 'locked'),
        ({'proc/modules': 'x\n', '.dockerenv': ''}, 'docker', 'no-directory', 'on the host'),
        ({'run/.containerenv': ''}, 'podman', 'no-directory', 'host'),
        ({'proc/1/cgroup': '0::/kubepods/burstable/pod1\n'}, 'Kubernetes', 'no-directory', 'host'),
        ({'proc/version': 'Linux version 4.4.0 #1 SMP Sun Jan 10 15:06:54 PST 2016\n'}, 'gVisor', 'no-directory', 'gVisor'),
    ]
    for files, container, on_disk, advice in cases:
        a = ask({**version, **files})
        assert (a['container'], a['kernel']['module_on_disk']) == (container, on_disk), (files, a.all)
        # whatever its files say, a kernel that has kernel TLS needs no advice
        if a['kernel_tls']['reason'] == 'NO_ULP':
            a.want('module', 'no', '', advice)
    a = ask({'proc/self/status': 'Name:\tx\nSeccomp:\t2\nSeccomp_filters:\t1\n'})
    assert a['seccomp'] == 2, a.all
    a.want('container', 'info', 'seccomp')


def damaged():
    """Nothing that these files say is an error, or breaks the JSON: fixed ones, then mutations of good ones."""
    good = {**debian('6.1.0-40-amd64', '6.1.170-1'), 'proc/crypto': CRYPTO, 'proc/version_signature': 'Ubuntu 1-2 6.1.3\n',
            'proc/sys/net/ipv4/tcp_notsent_lowat': '16384\n', 'proc/sys/net/ipv4/tcp_wmem': '1 2 3\n',
            'proc/self/status': 'Seccomp:\t2\n', 'proc/1/cgroup': '0::/docker/1\n', 'proc/modules': 'a\n',
            'proc/sys/kernel/modules_disabled': '1\n'}
    texts = [b'', b'\n', b'\0', b'\0\n\xff\xfe', b'"\\\x1b[2J\x7f' * 40, b'name' * 100000, b':\n' * 200000, b'9' * 300,
             b'name : gcm(aes)\ndriver : ' + b'd' * 3000 + b'\npriority : 1\n', b'6.', b'6.1.', b'6.1.99999999999', b'-1']
    for text in texts:
        root = tree({name: text for name in good})
        Answer(KTLS_DOCTOR_ROOT=root)
        run_text = screen(run(KTLS_DOCTOR_ROOT=root)[0], KTLS_DOCTOR_ROOT=root, lines=60)
        assert '\x1b' not in run_text and '\x7f' not in run_text, run_text
    root = tempfile.mkdtemp(dir=tmp)
    for name in good:
        os.makedirs(os.path.join(root, name))
    Answer(KTLS_DOCTOR_ROOT=root)
    os.makedirs(os.path.join(root, 'x/proc'))
    os.mkfifo(os.path.join(root, 'x/proc/crypto'))
    os.mkfifo(os.path.join(root, 'x/proc/version'))
    Answer(KTLS_DOCTOR_ROOT=os.path.join(root, 'x'))
    Answer(KTLS_DOCTOR_ROOT='/' + 'x' * 5000)
    rng = random.Random(20261125)
    for _ in range(150):
        files = {}
        for name, text in good.items():
            data = bytearray(text.encode())
            for _ in range(rng.randrange(6)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            files[name] = bytes(data[:rng.randrange(len(data) + 1)] if rng.random() < 0.3 else data)
        ask(files)


def host(cert, key):
    for version, name in ((ssl.TLSVersion.TLSv1_2, 'TLSv1.2'), (ssl.TLSVersion.TLSv1_3, 'TLSv1.3')):
        server = Server(cert, key, version)
        a = Answer('--host', 'localhost:%d' % server.port)
        server.end()
        assert a['host']['error'] is None and a['host']['version'] == name, a['host']
        a.want('certificate', 'info', 'self-signed')
        if a['kernel_tls']['reason'] == 'NO_ULP':
            assert a.status == 2 and a['host']['tx']['mode'] == 'user', a['host']
            assert a['host']['tx']['reason'] == 'NO_ULP', a['host']
            a.want('host-tx', 'no', 'NO_ULP')
        # a user whose trust it has: no remark
        server = Server(cert, key, version)
        a = Answer('--host', '127.0.0.1:%d' % server.port, SSL_CERT_FILE=cert)
        server.end()
        assert a['host']['certificate'] is None, a['host']
        a.none('certificate')


def no_host():
    def serve(listener, reply):
        with listener.accept()[0] as s:
            s.recv(10000)
            s.sendall(reply)

    with socket.create_server(('127.0.0.1', 0)) as listener:
        closed = listener.getsockname()[1]
    a = Answer('--host', '127.0.0.1:%d' % closed)
    assert a.status == 3 and 'refused' in a['host']['error'], (a.status, a['host'])
    for reply in (b'', b'HTTP/1.1 400 Bad Request\r\n\r\n', b'\x15\x03\x03\x00\x02\x02\x28'):
        with socket.create_server(('127.0.0.1', 0)) as listener:
            thread = threading.Thread(target=serve, args=(listener, reply))
            thread.start()
            a = Answer('--host', '127.0.0.1:%d' % listener.getsockname()[1])
            thread.join()
        assert a.status == 3 and a['host']['error'].startswith('handshake: '), (a.status, a['host'])
        a.want('host', 'no', 'handshake')


def main():
    try:
        cert, key = certificate(tmp)
        test('one screen, and its JSON', plain)
        test('command line', command_line)
        test('fixes by version', fixes)
        test('sysctls', sysctls)
        test('drivers', crypto)
        test('module and container', surroundings)
        test('damaged files', damaged)
        test('--host in user space', host, cert, key)
        test('--host without a connection', no_host)
    finally:
        shutil.rmtree(tmp)
    return 1 if doctorlib.failed else 0


sys.exit(main())
