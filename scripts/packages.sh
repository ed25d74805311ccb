#!/bin/sh
# Installs the Debian packages named, if any is missing; without root it says what to type.
set -eu
missing=
for package; do
    dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ]; then
    apt-get update -qq
    # shellcheck disable=SC2086 # one word a package
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "missing Debian packages; type this, then run make again:" >&2
    echo "    sudo apt-get install -y$missing" >&2
    exit 1
fi
