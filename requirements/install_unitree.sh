#!/usr/bin/env bash
# Installs Unitree's Python SDK and the CycloneDDS 0.10.x it speaks, for one Python:
#     requirements/install_unitree.sh [python]          (default: python3)
# The robot's firmware is 0.10.x, and an 11.x participant on its network crashes 0.10.x ones. The Python binding 0.10.2 has
# wheels up to Python 3.10; later ones are built here against a C library 0.10.x: $CYCLONEDDS_HOME, a ROS 2 installation or
# the system's. Only where none can be had does the 11.x wheel serve, for simulation on loopback.
# Lines that start with "warning:" or "error:" are for people; the rest is pip's, apt's and the compiler's.
set -uo pipefail

python=${1:-python3}
binding=0.10.2 loopback_only=11.0.1 sdk=1.0.1
# Links to the C library: in the virtual environment, else in the user's base. ./dbp points CYCLONEDDS_HOME at it.
links=$("$python" -c 'import site, sys
print(site.getuserbase() if sys.prefix == sys.base_prefix else sys.prefix)')/share/cyclonedds || exit
pip_install() { "$python" -m pip install --no-deps --retries 2 "$@"; }

works() {  # the binding of this environment is 0.10.x and finds its C library
    CYCLONEDDS_HOME=${1:-} "$python" - <<'PY' 2>/dev/null
import os
os.environ["CYCLONEDDS_HOME"] or os.environ.pop("CYCLONEDDS_HOME")
from importlib.metadata import version
import cyclonedds.core
raise SystemExit(not version("cyclonedds").startswith("0.10."))
PY
}

link_prefix() {  # links PREFIX's include, lib and bin into $links, if it holds a C library 0.10.x
    local prefix=$1 include lib
    for include in "$prefix/include" "$prefix/include/cyclonedds"; do
        grep -qs '"0\.10\.' "$include/dds/version.h" || continue
        for lib in "$prefix"/lib "$prefix"/lib/*-linux-gnu "$prefix"/lib64; do
            [ -e "$lib/libddsc.so" ] || continue
            mkdir -p "$links" && ln -sfn "$include" "$links/include" && ln -sfn "$lib" "$links/lib" &&
                ln -sfn "$prefix/bin" "$links/bin" && return
        done
    done
    return 1
}

build_against() {  # builds the binding against PREFIX's C library
    link_prefix "$1" || return
    echo "building cyclonedds $binding against $1"
    # No cache: a binding built elsewhere may belong to another C library.
    CYCLONEDDS_HOME=$links pip_install --no-cache-dir --no-build-isolation --force-reinstall "cyclonedds==$binding" &&
        works "$links"
}

build_against_any() {
    local prefix
    for prefix in ${CYCLONEDDS_HOME:+"$CYCLONEDDS_HOME"} /opt/ros/* /usr/local /usr; do
        build_against "$prefix" && return
    done
    return 1
}

missing_packages() {  # the Debian packages a build lacks
    local minor
    link_prefix /usr || echo cyclonedds-dev
    command -v cc >/dev/null || echo gcc libc6-dev
    minor=$("$python" -c 'import os, sys, sysconfig
if not os.path.exists(sysconfig.get_path("include") + "/Python.h"): print("%d.%d" % sys.version_info[:2])')
    [ -z "$minor" ] || echo "python$minor-dev"
}

install_cyclonedds() {
    works "$([ ! -e "$links" ] || echo "$links")" && return
    rm -rf "$links"
    pip_install --only-binary=:all: "cyclonedds==$binding" && works && return
    build_against_any && return
    if command -v apt-get >/dev/null; then
        local packages
        packages=$(missing_packages | tr '\n' ' ')
        if [ -n "$packages" ] && [ "$(id -u)" = 0 ]; then
            echo "installing $packages"
            # shellcheck disable=SC2086  # a list of names
            { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages; } &&
                build_against_any && return
        elif [ -n "$packages" ]; then
            mend="; to mend it: sudo apt-get install ${packages% } && ./dbp setup"
        fi
    fi
    rm -rf "$links"
    echo "warning: no CycloneDDS 0.10.x for this Python: with $loopback_only only simulation on loopback works${mend:-}"
    pip_install --only-binary=:all: "cyclonedds==$loopback_only"
}

# The SDK's wheel asks for opencv and an exact cyclonedds; it needs neither to talk to a Go2.
install_cyclonedds && pip_install "unitree-sdk2==$sdk"
