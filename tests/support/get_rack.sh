#!/bin/sh
# get_rack.sh SUITE FOLDER: the `ruby-rack` package of a Debian suite (bookworm has Rack 2.2, trixie has Rack 3), downloaded
# from the mirror that this machine uses and unpacked below FOLDER; nothing is installed. Ruby finds it through
# GEM_PATH=FOLDER/usr/share/rubygems-integration/all. Needs no root.
set -eu
suite=$1 folder=$2
[ ! -d "$folder/usr/share/rubygems-integration" ] || exit 0
uri=$(sed -n 's/^URIs: *//p; s/^deb \(\[.*\] \)\{0,1\}\([a-z]*:[^ ]*\/debian\/\{0,1\}\) .*/\2/p' \
    /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources 2>/dev/null | head -n 1)
[ -n "$uri" ] || { echo "get_rack.sh: no Debian mirror is configured on this machine" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
: > "$work/status"
mkdir -p "$work/sources" "$work/lists/partial" "$work/cache/archives/partial" "$work/unpacked"
printf '%s\n' 'Types: deb' "URIs: $uri" "Suites: $suite" 'Components: main' \
    'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg' > "$work/sources/$suite.sources"
apt() {
    apt-get -qq -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$work/sources" \
        -o Dir::State::status="$work/status" -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root "$@" >&2
}
apt update
(cd "$work" && apt download ruby-rack)
dpkg-deb -x "$work"/ruby-rack_*.deb "$work/unpacked"
mkdir -p "$(dirname "$folder")"
mv "$work/unpacked" "$folder"
