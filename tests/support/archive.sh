# shellcheck shell=bash
# Packages of other Debian suites, to be sourced after setup.sh: found, verified and unpacked, never installed.
# The mirror, its proxy settings and the signing keys are those of the machine's apt; lists and downloads are kept in the cache.

# shellcheck disable=SC2154 # from setup.sh
ktls_apt=$ktls_cache/apt

# ktls_mirror SUITE: the URI of the archive which holds SUITE.
# KTLS_MIRROR and KTLS_SECURITY_MIRROR serve machines whose apt knows no Debian archive.
ktls_mirror() {
    local kind=main uri
    case $1 in
    *-security) kind=security uri=${KTLS_SECURITY_MIRROR:-} ;;
    *) uri=${KTLS_MIRROR:-} ;;
    esac
    if [ -z "$uri" ]; then
        # indextargets reads any format of sources. Before the first apt-get update the origin is unknown and stays a "$(ORIGIN)".
        # shellcheck disable=SC2016
        uri=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)' 'Created-By: Packages' |
            awk -v kind="$kind" '
                $3 != "main" || ($4 != "Debian" && $4 !~ /ORIGIN/ && $4 != "") { next }
                $2 ~ /-security$/ { security = security ? security : $1; next }
                $2 !~ /[-\/]/ { main = main ? main : $1 }
                END {
                    if (kind == "security" && !security && sub(/debian\/?$/, "debian-security/", main)) security = main
                    print kind == "security" ? security : main
                }')
    fi
    [ -n "$uri" ] || ktls_die "apt has no Debian $kind archive configured; set KTLS_MIRROR and KTLS_SECURITY_MIRROR"
    printf '%s\n' "$uri"
}

# Every key the machine trusts for Debian: apt's own directory, the archive keyring, and the Signed-By of the mirror's own source.
ktls_apt_keys() {
    local uri=$1 key
    for key in /etc/apt/trusted.gpg.d/*.{gpg,asc} /usr/share/keyrings/debian-archive-keyring.{pgp,gpg}; do
        printf '%s\n' "$key"
    done
    grep -lsF -- "${uri%/}" /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources |
        while read -r key; do sed -nE 's/^[^#]*[Ss]igned-[Bb]y *[:=] *(\/[^] ,]+).*/\1/p' "$key"; done
}

# ktls_archive NAME SUITE...: an apt configuration of exactly these suites, with fresh lists, for the functions below.
ktls_archive() {
    local name=$1 dir suite uri key
    shift
    ktls_need debian-archive-keyring
    dir=$ktls_apt/$name
    rm -rf -- "$dir"
    mkdir -p "$dir"/{lists/partial,cache/archives/partial,keys,parts,log}
    : >"$dir/status"
    for suite; do
        uri=$(ktls_mirror "$suite")
        printf 'deb %s %s main\n' "$uri" "$suite" >>"$dir/sources.list"
        while read -r key; do
            # apt accepts the suffixes gpg and asc only
            [ ! -e "$key" ] || ln -sf "$key" "$dir/keys/$(basename "${key%.pgp}" .gpg | sed '/\.asc$/!s/$/.gpg/')"
        done < <(ktls_apt_keys "$uri")
    done
    # Given with -c, this is read after the machine's configuration and wins over it.
    cat >"$dir/apt.conf" <<CONF
Dir::State "$dir";
Dir::State::status "$dir/status";
Dir::State::lists "$dir/lists";
Dir::Cache "$dir/cache";
Dir::Log "$dir/log";
Dir::Etc::sourcelist "$dir/sources.list";
Dir::Etc::sourceparts "$dir/parts";
Dir::Etc::preferences "$dir/preferences";
Dir::Etc::preferencesparts "$dir/parts";
Dir::Etc::trusted "$dir/keys/none";
Dir::Etc::trustedparts "$dir/keys";
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Default-Release "";
APT::Sandbox::User "$(id -un)";
APT::Update::Post-Invoke-Success "";
Acquire::Languages "none";
Acquire::PDiffs "false";
CONF
    ktls_apt_get=(apt-get -q -c "$dir/apt.conf")
    ktls_apt_cache=(apt-cache -c "$dir/apt.conf")
    ktls_quietly "${ktls_apt_get[@]}" update
}

# ktls_newest REGEX: the package of the highest version whose whole name matches the extended regular expression.
ktls_newest() {
    "${ktls_apt_cache[@]}" dumpavail |
        awk -v re="^($1)\$" '/^Package: / { p = $2 } /^Version: / && p ~ re { print $2, p }' |
        sort -V | awk '{ p = $2 } END { if (!p) exit 1; print p }'
}

# ktls_unpack DIR PKG...: download these packages, verified, and unpack them into DIR.
ktls_unpack() {
    local dir=$1 tmp deb
    shift
    tmp=$(mktemp -d)
    mkdir -p "$dir"
    (cd "$tmp" && ktls_quietly "${ktls_apt_get[@]}" download "$@") || { rm -rf "$tmp"; return 1; }
    for deb in "$tmp"/*.deb; do
        dpkg-deb -x "$deb" "$dir" || { rm -rf "$tmp"; return 1; }
    done
    rm -rf "$tmp"
}
