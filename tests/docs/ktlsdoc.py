# SPDX-License-Identifier: MIT
"""What the checks of this directory share: the tree, the headers, the report."""

import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Report:
    """Collects findings; done() prints the closing line and gives the status."""

    def __init__(self, name):
        self.name = name
        self.findings = 0
        self.checked = []

    def fail(self, where, text):
        self.findings += 1
        print('%s: %s: %s' % (self.name, where, text))

    def count(self, number, what):
        """Says what was looked at; nothing at all is a finding, not a pass."""
        self.checked.append('%d %s' % (number, what))
        if number == 0:
            self.fail('nothing to check', 'found no %s' % what)

    def done(self):
        if self.findings:
            print('%s: FAILED, %d finding(s)' % (self.name, self.findings))
            return 1
        print('%s: ok (%s)' % (self.name, ', '.join(self.checked)))
        return 0


def path(*parts):
    return os.path.join(ROOT, *parts)


def read(*parts):
    """The text of a file of the tree; a missing or unreadable one ends the check."""
    name = path(*parts)
    try:
        with open(name, encoding='utf-8') as f:
            return f.read()
    except (OSError, UnicodeDecodeError) as e:
        print('%s: cannot read %s: %s' % (os.path.basename(sys.argv[0]), name, e))
        sys.exit(1)


def tracked():
    """What git would commit, or None outside of a git work tree."""
    if not os.path.exists(path('.git')):
        return None
    try:
        r = subprocess.run(['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'],
                           cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        return None
    return os.fsdecode(r.stdout).split('\0')[:-1] if r.returncode == 0 else None


def walked():
    """Every file of a tree without git, build directories left out."""
    for where, dirs, names in os.walk(ROOT):
        dirs[:] = [d for d in dirs if d not in ('.git', '__pycache__')
                   and not os.path.isdir(os.path.join(where, d, 'meson-private'))]
        for name in names:
            yield os.path.relpath(os.path.join(where, name), ROOT)


def files(*suffixes, under=''):
    """Names, relative to the top, of the source files below under."""
    names = tracked()
    return sorted(n for n in set(walked() if names is None else names)
                  if n.startswith(under) and (not suffixes or n.endswith(suffixes))
                  and os.path.isfile(path(n)) and not os.path.islink(path(n)))


def public_headers():
    return files('.h', under='include/')


TOKEN = re.compile(r'''//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*\'''', re.S)


def strip_c(text, comments=' ', strings='""'):
    """C without comments, and with empty strings; line numbers stay."""
    def blank(m):
        t = m.group(0)
        if t.startswith('/'):
            return comments + '\n' * t.count('\n')
        return strings if t.startswith('"') else "' '"
    return TOKEN.sub(blank, text)


def normal(decl):
    """One spelling for each C type: 'char*  x' is 'char *x'."""
    decl = re.sub(r'\s+', ' ', decl)
    decl = re.sub(r'\s*\*\s*', ' *', decl)
    decl = re.sub(r'\* \*', '**', decl)
    decl = re.sub(r'\s*([\[\],()])\s*', r'\1', decl)
    return decl.strip()


class Function:
    def __init__(self, ret, name, args, header):
        self.name = name
        self.ret = normal(ret)
        self.args = [normal(a) for a in args]
        self.header = header

    def __str__(self):
        return normal('%s %s' % (self.ret, self.name)) + '(%s)' % ', '.join(self.args)


class Headers:
    """What include/ktls declares."""

    def __init__(self):
        self.functions = {}
        self.constants = {}   # enum constant: its enum
        self.fields = {}      # struct name: its fields
        self.macros = {}      # macro: its text
        for name in public_headers():
            self.parse(name)

    def parse(self, name):
        raw = strip_c(read(name))
        raw = raw.replace('\\\n', ' ')
        for m in re.finditer(r'^[ \t]*#[ \t]*define[ \t]+(\w+)[ \t]+(.*)$', raw, re.M):
            self.macros[m.group(1)] = m.group(2).strip()
        text = re.sub(r'^[ \t]*#.*$', '', raw, flags=re.M)
        for m in re.finditer(r'\benum\s+(\w+)\s*\{(.*?)\}', text, re.S):
            for c in re.findall(r'(\w+)\s*(?:=[^,]*)?(?:,|$)', m.group(2).strip()):
                self.constants[c] = m.group(1)
        for m in re.finditer(r'\bstruct\s+(\w+)\s*\{(.*?)\}', text, re.S):
            self.fields[m.group(1)] = [
                re.search(r'(\w+)\s*(?:\[\w+\])?\s*$', f).group(1)
                for f in m.group(2).split(';') if f.strip()]
        for m in re.finditer(r'\bKTLS_API\b([^;{]*?)\b(\w+)\s*\(([^()]*)\)\s*;', text, re.S):
            ret = re.sub(r'\bKTLS_\w+\b', '', m.group(1))
            args = [a for a in m.group(3).split(',') if a.strip()]
            self.functions[m.group(2)] = Function(ret, m.group(2), args, name)
        # A declaration in a shape that the line above does not know must not go by unseen.
        if len(re.findall(r'\bKTLS_API\b', text)) != sum(
                f.header == name for f in self.functions.values()):
            print('%s: a KTLS_API declaration in %s was not understood' %
                  (os.path.basename(sys.argv[0]), name))
            sys.exit(1)


def map_nodes():
    """[(node, [global symbols])] of the version script, in its order."""
    text = strip_c(read('lib', 'libktls.map'))
    nodes = []
    for m in re.finditer(r'(\w[\w.]*)\s*\{(.*?)\}\s*([\w.]*)\s*;', text, re.S):
        part = re.search(r'\bglobal\s*:(.*?)(?:\blocal\s*:|$)', m.group(2), re.S)
        names = [s.strip() for s in part.group(1).split(';') if s.strip()] if part else []
        nodes.append((m.group(1), names))
    return nodes
