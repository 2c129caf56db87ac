# shellcheck shell=bash
# How files get into the guest's file system, to be sourced.

# A path as it is in the guest, where /bin, /lib and so on are links into /usr.
ktls_guest_path() {
    case $1 in
    /bin/* | /sbin/* | /lib/* | /lib64/*) printf '/usr%s\n' "$1" ;;
    *) printf '%s\n' "$1" ;;
    esac
}

ktls_is_elf() { [ "$(head -c 4 "$1" 2>/dev/null | tr -d '\0' | tail -c 3)" = ELF ]; }

# ktls_closure FILE...: the shared libraries and loaders these need.
ktls_closure() {
    [ $# -eq 0 ] || { ldd "$@" 2>/dev/null || true; } | sed -nE 's,^\s+(.* => )?(/\S+) \(0x.*,\2,p' | sort -u
}

# Copy file $2 to path $3 in the tree $1, following links.
ktls_put() {
    local to
    to=$1$(ktls_guest_path "$3")
    mkdir -p "${to%/*}"
    [ -e "$to" ] || cp -Lp --reflink=auto "$2" "$to"
}

ktls_pack() { (cd "$1" && find . -mindepth 1 -printf '%P\0' | cpio -0 -o -H newc -R 0:0 --quiet); }

# ktls_add_programs TREE BUILD: the programs and libraries of a build directory.
ktls_add_programs() {
    local tree=$1 build=$2 file programs=()
    [ -d "$build" ] || return 0
    build=$(cd "$build" && pwd -P)
    mkdir -p "$tree/ktls/bin" "$tree/usr/lib"
    while read -r file; do
        ktls_is_elf "$file" || continue
        case $file in
        # The RUNPATH of the programs leads nowhere in the guest, but /usr/lib is searched by default.
        *.so | *.so.*) cp -P --reflink=auto "$file" "$tree/usr/lib/" ;;
        *) cp --reflink=auto "$file" "$tree/ktls/bin/" ;;
        esac
        programs+=("$file")
    done < <(
        find "$build" -name '*.p' -prune -o -name 'libktls.so*' ! -name '*.symbols' -print
        find "$build/examples" "$build/tests" -name '*.p' -prune -o -type f -perm -u+x -print 2>/dev/null
    )
    ktls_add_closure "$tree" "$build" "${programs[@]}"
}

# ktls_add_closure TREE EXCEPT FILE...: the libraries these need, except the ones below a directory.
ktls_add_closure() {
    local tree=$1 except=$2 lib
    shift 2
    while read -r lib; do
        case $lib in "$except"/*) continue ;; esac
        ktls_put "$tree" "$lib" "$lib"
    done < <(ktls_closure "$@")
}

# ktls_add TREE HOSTPATH[:GUESTPATH]: a file or directory. Executables go on the PATH if not told otherwise.
ktls_add() {
    local tree=$1 from=${2%%:*} to=''
    [[ $2 != *:* ]] || to=${2#*:}
    [ -e "$from" ] || ktls_die "--add $2: no such file"
    if [ -z "$to" ]; then
        to=/ktls/${from##*/}
        [ -d "$from" ] || [ ! -x "$from" ] || to=/ktls/bin/${from##*/}
    fi
    to=$(ktls_guest_path "/${to#/}")
    mkdir -p "$(dirname "$tree$to")"
    cp -rLT --reflink=auto "$from" "$tree$to"
    if [ -f "$from" ] && [ -x "$from" ] && ktls_is_elf "$from"; then
        ktls_add_closure "$tree" /nonexistent "$from"
    fi
}

# ktls_add_command TREE COMMAND [ARG...]: what the guest runs, with the variables of the array env.
ktls_add_command() {
    local file=$1/ktls/command item
    shift
    {
        printf '#!/bin/bash\n'
        # shellcheck disable=SC2154 # of the caller
        for item in "${env[@]}"; do printf 'export %s=%q\n' "${item%%=*}" "${item#*=}"; done
        printf 'exec --'
        printf ' %q' "$@"
        printf '\n'
    } >"$file"
    chmod 755 "$file"
}

# What the kernel must not have said, whatever the command said.
# shellcheck disable=SC2034 # for the scripts which source this
ktls_bad='BUG:|WARNING: |Oops|Kernel panic|kernel BUG at|rcu: INFO:|INFO: (task|rcu)|KASAN|UBSAN|general protection fault'
