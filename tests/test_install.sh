#!/bin/sh
# test_install.sh: installs into a scratch prefix and builds a user's program against what is there: in C and in C++,
# shared and static, by pkg-config and by the CMake package. GLIA_BINARY_DIR names the build that is installed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    echo "test_install: $*" >&2
    exit 1
}

# A sanitised library needs the sanitizers' runtime in the program too.
cached() { sed -n "s/^$1:[A-Z]*=//p" "$GLIA_BINARY_DIR/CMakeCache.txt"; }
sanitize=$(cached GLIA_SANITIZE)
flags="-Wall -Wextra -Werror -O1 ${sanitize:+-fsanitize=$sanitize}"
cc=$(cached CMAKE_C_COMPILER)
version=$(cached CMAKE_PROJECT_VERSION)

prefix=$work/prefix
cmake --install "$GLIA_BINARY_DIR" --prefix "$prefix" >"$work/log" || fail "install failed: $(cat "$work/log")"
libdir=$prefix/$(cd "$prefix" && dirname "$(find . -name libglia.a)")
for file in bin/glia share/man/man1/glia.1 include/glia/glia.h include/glia/ops.h share/glia/examples/mnist_cnn.yaml; do
    [ -s "$prefix/$file" ] || fail "no $file was installed"
done
[ "$("$prefix/bin/glia" --version)" = "glia $version" ] || fail "the installed program does not say glia $version"

export PKG_CONFIG_PATH="$libdir/pkgconfig"
[ "$(pkg-config --modversion glia)" = "$version" ] || fail "glia.pc is not of version $version"

# check PROGRAM: runs it and looks at what it prints
check() {
    said=$(LD_LIBRARY_PATH="$libdir" "$1") || fail "$1 failed: $said"
    [ "$said" = "glia $version: 4 of 4 right" ] || fail "$1 printed: $said"
    echo "ok: $(basename "$1")"
}
for package in glia glia-static; do
    # shellcheck disable=SC2046,SC2086 # flags are lists of words
    "$cc" -std=c11 $flags "$here/install/main.c" -o "$work/c-$package" $(pkg-config --cflags --libs "$package")
    check "$work/c-$package"
    if command -v g++ >/dev/null; then
        # shellcheck disable=SC2046,SC2086
        g++ -std=c++20 $flags -Wno-missing-field-initializers -x c++ "$here/install/main.c" -x none -o "$work/c++-$package" \
            $(pkg-config --cflags --libs "$package")
        check "$work/c++-$package"
    fi
done
# Every header alone, as C and as old C++.
for header in "$prefix"/include/glia/*.h; do
    name=glia/$(basename "$header")
    # shellcheck disable=SC2046
    echo "#include <$name>" | "$cc" -std=c11 -pedantic -Wall -Wextra -Werror -fsyntax-only $(pkg-config --cflags glia) -x c - ||
        fail "$name is not clean C11 by itself"
    command -v g++ >/dev/null || continue
    # shellcheck disable=SC2046
    echo "#include <$name>" | g++ -std=c++11 -Wall -Wextra -Werror -fsyntax-only $(pkg-config --cflags glia) -x c++ - ||
        fail "$name is not clean C++ by itself"
done

cmake -S "$here/install" -B "$work/user" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_COMPILER="$cc" \
    -DCMAKE_C_FLAGS="$flags" >"$work/log" 2>&1 || fail "find_package failed: $(cat "$work/log")"
cmake --build "$work/user" >"$work/log" 2>&1 || fail "the CMake package does not link: $(cat "$work/log")"
check "$work/user/user_shared"
check "$work/user/user_static"
