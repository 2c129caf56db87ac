# shellcheck shell=bash disable=SC2154 # variables of what prepare has sourced before
# How the module is built for a kernel of prepare's, to be sourced there.

# nicsim_suite VERSION: the Debian suite that this kernel is of, whose compiler built it.
nicsim_suite() {
    case $1 in
    6.1.0-* | *+deb12*) echo bookworm ;;
    *+deb13*) echo trixie ;;
    *) echo sid ;;
    esac
}

# nicsim_headers DIR VERSION SUITE: unpacks what the build needs except a compiler. Headers of another version will not do.
nicsim_headers() {
    local dir=$1 headers=linux-headers-$2 suites=("$3") pkgs
    [ "$3" = sid ] || suites+=("$3-security" "$3-backports")
    ktls_archive nicsim "${suites[@]}"
    ktls_newest "${headers//[+]/[+]}" >/dev/null ||
        ktls_die "no $headers in ${suites[*]} any more: fetch a newer kernel with 'tests/vm/prepare kernel LINE update'"
    mapfile -t pkgs < <("${ktls_apt_cache[@]}" depends "$headers" |
        sed -nE 's/^ *Depends: (linux-headers-.*-common|linux-kbuild-.*)$/\1/p')
    pkgs+=("$headers" make "$(ktls_newest 'libelf1(t64)?')")
    ktls_say "fetching ${pkgs[*]}"
    ktls_unpack "$dir" "${pkgs[@]}"
    rm -rf -- "${ktls_apt:?}/nicsim"
}

# nicsim_build DIR VERSION SOURCES: leaves nicsim.ko in DIR/module. DIR is for this alone; its packages are not installed.
nicsim_build() {
    local dir=$1 version=$2 sources=$3 suite root=/ at=$1
    suite=$(nicsim_suite "$version")
    ktls_need gcc binutils
    nicsim_headers "$dir" "$version" "$suite"
    cp -r "$sources" "$dir/module"
    # The tools of the headers want that suite's C library, and the kernel its compiler.
    if [ "$suite" != "$(. /etc/os-release && echo "${VERSION_CODENAME-}")" ]; then
        root=$("$ktls_root/tests/support/suite-chroot" "$suite")
        at=/mnt
    fi
    # The headers name each other by where they would be installed.
    sed -i "s,/usr/src/,$at/usr/src/,g" "$dir/usr/src/linux-headers-$version/Makefile"
    # In mounts of its own: the chroot is shared. objtool reads /proc; type information would need yet another tool.
    # shellcheck disable=SC2016 # for the shell in the namespace
    ktls_quietly unshare --mount bash -euc '
        if [ "$3" != / ]; then
            mount --bind "$1" "$3$2"
            mount -t proc proc "$3/proc"
        fi
        exec env -i PATH="$2/usr/bin:/usr/sbin:/usr/bin:/sbin:/bin" LD_LIBRARY_PATH="$2/usr/lib/x86_64-linux-gnu" \
            chroot "$3" make -C "$2/usr/src/linux-headers-$4" M="$2/module" CONFIG_DEBUG_INFO_BTF_MODULES= modules' \
        bash "$dir" "$at" "$root" "$version"
    strip --strip-debug "$dir/module/nicsim.ko"
}
