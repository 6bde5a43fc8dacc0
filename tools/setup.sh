#!/bin/sh
# setup.sh [lint|tidy|fuzz]: installs the Debian packages that are missing. This is the one list of them.
set -eu
build="gcc g++ libc6-dev cmake ninja-build pkg-config git libdnnl-dev libyaml-dev libjansson-dev libpng-dev libjpeg62-turbo-dev
       zlib1g-dev libhdf5-dev libcurl4-openssl-dev ca-certificates dataset-fashion-mnist"
lint="clang-format"
tidy="clang-tidy"
fuzz="clang libclang-rt-14-dev"

wanted=$build
case "${1-}" in
'') ;;
lint) wanted="$build $lint" ;;
tidy) wanted="$build $tidy" ;;
fuzz) wanted="$build $fuzz" ;;
*) echo "usage: tools/setup.sh [lint|tidy|fuzz]" >&2; exit 2 ;;
esac
command -v dpkg-query >/dev/null || { echo "setup: not a Debian system; please install by hand: $wanted" >&2; exit 0; }
missing=
for p in $wanted; do
    dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
sudo=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "setup: please run as root: apt-get install$missing" >&2; exit 1; }
    sudo=sudo
fi
echo "setup: installing$missing" >&2
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq >&2 || true
# shellcheck disable=SC2086
$sudo apt-get install -y -qq --no-install-recommends $missing >&2
