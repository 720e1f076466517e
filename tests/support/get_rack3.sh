#!/bin/sh
# get_rack3.sh FOLDER: Rack 3 for the tests, beside the Rack 2.2 of Debian 12: the `ruby-rack` package of Debian 13,
# downloaded and unpacked below FOLDER; nothing is installed. Ruby finds it through GEM_PATH=FOLDER/usr/share/rubygems-integration/all.
set -eu
folder=$1
[ ! -d "$folder/usr/share/rubygems-integration" ] || exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir -p "$work/sources" "$work/lists/partial" "$work/cache/archives/partial" "$work/unpacked"
uri=$(sed -n 's/^URIs: *//p; s/^deb \(\[.*\] \)\{0,1\}\(http[^ ]*\/debian\/\{0,1\}\) .*/\2/p' /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources 2>/dev/null | head -n 1)
printf '%s\n' 'Types: deb' "URIs: ${uri:-http://deb.debian.org/debian}" 'Suites: trixie' 'Components: main' \
    'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg' > "$work/sources/trixie.sources"
apt() {
    apt-get -qq -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$work/sources" \
        -o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User=root "$@" >&2
}
apt update
(cd "$work" && apt download ruby-rack)
dpkg-deb -x "$work"/ruby-rack_*.deb "$work/unpacked"
mkdir -p "$(dirname "$folder")"
mv "$work/unpacked" "$folder"
