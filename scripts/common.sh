# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What ./run and ./test share. `here` is the top of the tree.

# Debian's own Python: its packages (python3-zmq and so on) are not seen by any other.
python=/usr/bin/python3
[ -x "$python" ] || python=python3

say()
{
    printf '\n== %s\n' "$*"
}

# build_dir PRESET: where it builds, as CMakePresets.json says.
build_dir()
{
    # shellcheck disable=SC2154
    case $1 in
    release) echo "$here/build" ;;
    *) echo "$here/build-$1" ;;
    esac
}

# How many times slower than most this machine starts programs, 1 to 4: half a millisecond each is usual.
slowness()
{
    local begun took
    begun=$(date +%s%N)
    sh -c 'i=0; while [ $i -lt 500 ]; do /bin/true; i=$((i + 1)); done'
    took=$((($(date +%s%N) - begun) / 250000000))
    echo $((took < 1 ? 1 : took > 4 ? 4 : took))
}

# build_preset PRESET [-DNAME=VALUE...] [TARGET...]: configures and builds it.
build_preset()
{
    local preset=$1 dir settings=() targets=()
    shift
    dir=$(build_dir "$preset")
    while [[ ${1-} == -D* ]]; do
        settings+=("$1")
        shift
    done
    [ $# -eq 0 ] || targets=(--target "$@")
    # A build directory keeps the generator that it was made with.
    if [ ! -e "$dir/CMakeCache.txt" ] && command -v ninja >/dev/null; then
        (cd "$here" && cmake --preset "$preset" -G Ninja "${settings[@]}" >/dev/null)
    else
        (cd "$here" && cmake --preset "$preset" "${settings[@]}" >/dev/null)
    fi && cmake --build "$dir" --parallel "$(nproc)" "${targets[@]}"
}
