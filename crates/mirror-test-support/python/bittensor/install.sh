#!/usr/bin/env bash
# Installs the real bittensor 5.0.0 to the folder FOLDER, so that FOLDER/bin/python runs real_axon.py and
# real_dendrite.py:    bash install.sh FOLDER
#
# It is for Debian 12 (bookworm) on amd64 and uses the machine's own apt sources and PyPI alone. Root is not required,
# and nothing outside FOLDER is changed:
#  1. apt downloads Debian's Python 3.11, NumPy, PyTorch 1.13.1 for CPUs, and those of their dependencies that the
#     machine lacks. The packages are unpacked to FOLDER/debian, not installed.
#  2. pip installs the pins of requirements-py311.txt to FOLDER/packages.
#  3. pip downloads bittensor 5.0.0, verified by its hash. It is unzipped, unmodified, to FOLDER/bittensor.
#  4. FOLDER/bin/python starts Python 3.11 with all of this, BITTENSOR_V5 set, and a HOME of its own.
#  5. Everything is imported once, and a signature is made and verified.
# A second run with the same FOLDER does nothing, unless this script or the pins have changed.
set -euo pipefail

fail() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }
step() { printf '== %s (%s s)\n' "$1" "$SECONDS"; }

[ "$#" = 1 ] || fail "usage: bash install.sh FOLDER"
here="$(cd "$(dirname "$0")" && pwd)"
pins="$here/requirements-py311.txt"
[ -f "$pins" ] || fail "$pins is missing: it belongs beside this script"
# shellcheck source=/dev/null
release="$(. /etc/os-release && echo "${ID:-} ${VERSION_CODENAME:-}")"
[ "$release $(uname -m)" = "debian bookworm x86_64" ] ||
    fail "this needs Debian 12 (bookworm) on x86_64; this machine is: $release $(uname -m)"
for tool in apt-get dpkg-deb tar sha256sum; do
    command -v "$tool" >/dev/null || fail "the program $tool is missing"
done

target="$(realpath -m "$1")"
version="$(cat "$0" "$pins" | sha256sum | cut -c 1-16)"
if [ "$(cat "$target/complete" 2>/dev/null)" = "$version" ]; then
    echo "$target is complete"
    exit 0
fi
# Only a folder that an earlier run made is replaced.
if [ -e "$target" ] && [ ! -e "$target/complete" ] && [ -n "$(ls -A "$target")" ]; then
    fail "$target exists and is not of this script's making: name another folder, or delete it"
fi
mkdir -p "$(dirname "$target")"
work="$target.unfinished.$$"
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{apt/lists/partial,apt/cache/archives/partial,apt/log,debian,packages,bin,home,wheel}
cd "$work"

step "Debian packages: download"
apt=(apt-get -q -y -o Debug::NoLocking=1 -o APT::Sandbox::User=root
    -o Dir::State::lists="$work/apt/lists" -o Dir::Cache="$work/apt/cache" -o Dir::Log="$work/apt/log"
    -o Acquire::Retries=3 -o Acquire::Languages=none)
# A source of the machine that does not answer matters only if the packages are then not found.
"${apt[@]}" update >apt/update.txt 2>&1 || true
# The first command resolves dependencies. The second downloads its packages even if the machine has them, so that the
# whole interpreter is in the folder.
interpreter=(python3.11 python3.11-minimal libpython3.11-minimal libpython3.11-stdlib python3-distutils python3-pip-whl
    python3-pkg-resources python3-numpy python3-torch)
{
    "${apt[@]}" --no-install-recommends --download-only install python3-torch python3.11 &&
        (cd apt/cache/archives && "${apt[@]}" download "${interpreter[@]}")
} >apt/install.txt 2>&1 || {
    cat apt/update.txt apt/install.txt >&2
    fail "apt did not find or download python3-torch, what it depends on, and ${interpreter[*]}; its words are above"
}
printf '%s packages, %s\n' "$(find apt/cache/archives -name '*.deb' | wc -l)" "$(du -sh apt/cache/archives | cut -f 1)"

step "Debian packages: unpack"
find apt/cache/archives -maxdepth 1 -name '*.deb' | sort | while read -r package; do
    # A C library has to be that of the machine's dynamic linker.
    case "$package" in */libc6_* | */libc-bin_*) continue ;; esac
    dpkg-deb --fsys-tarfile "$package" | tar -x -C debian --no-same-owner --wildcards \
        --exclude='./usr/share/[!p]*' --exclude='./usr/share/p[!y]*' --exclude='./usr/lib/libtorch-test' \
        --exclude='./etc' --exclude='./var'
    rm "$package"
done
rm -rf apt

cat >bin/python <<'PYTHON'
#!/bin/sh
here="$(dirname "$(dirname "$(realpath "$0")")")"
tree="$here/debian"
lib="$tree/usr/lib/x86_64-linux-gnu"
export LD_LIBRARY_PATH="$lib:$lib/blas:$lib/lapack:$tree/usr/lib:$tree/lib/x86_64-linux-gnu"
# Where the machine itself has them.
LD_LIBRARY_PATH="$LD_LIBRARY_PATH:/usr/lib/x86_64-linux-gnu/blas:/usr/lib/x86_64-linux-gnu/lapack"
export PYTHONPATH="$here/packages:$tree/usr/lib/python3/dist-packages"
export PYTHONNOUSERSITE=1 PYTHONDONTWRITEBYTECODE=1
export BITTENSOR_V5="$here/bittensor" HOME="${BITTENSOR_HOME:-$here/home}"
unset PYTHONHOME
exec "$tree/usr/bin/python3.11" "$@"
PYTHON
chmod +x bin/python
bin/python -c 'import ssl, ctypes' || fail "Debian's Python 3.11 does not start; its words are above"

step "Python packages"
pip=("$work"/debian/usr/share/python-wheels/pip-*.whl)
[ -f "${pip[0]}" ] || fail "Debian's python3-pip-whl does not contain a wheel of pip"
pip=(bin/python "${pip[0]}/pip" --disable-pip-version-check --no-input --no-cache-dir -q)
export PIP_ROOT_USER_ACTION=ignore
# These two are published as sources alone, in pure Python.
"${pip[@]}" install --no-deps --use-pep517 --target packages --no-compile --requirement "$pins" --only-binary :all: \
    --no-binary ansible-vault,password-strength --use-feature no-binary-enable-wheel-cache ||
    fail "pip did not install the packages of $pins; its words are above"

step "bittensor 5.0.0"
hash=7731e83ddff62632fc3cd798c079fcbac37cd4c3f7c96e545a31d617b371b114
echo "bittensor==5.0.0 --hash=sha256:$hash" >wheel/requirements.txt
"${pip[@]}" download --no-deps --require-hashes --requirement wheel/requirements.txt --dest wheel ||
    fail "pip did not download the wheel of bittensor 5.0.0; its words are above"
bin/python -m zipfile -e wheel/bittensor-5.0.0-py3-none-any.whl bittensor
rm -rf wheel

step "check"
bin/python - <<'CHECK' || fail "the installation does not work; Python's words are above"
import os, sys, types, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, os.environ["BITTENSOR_V5"])
for name in ("langchain", "langchain.llms", "langchain.llms.base"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["langchain.llms.base"].LLM = object
import google.protobuf, grpc, numpy, sr25519, torch
import bittensor
from importlib.metadata import version
alice = bittensor.Keypair.create_from_uri("//Alice")
assert alice.verify(b"text", alice.sign(b"text")) and not alice.verify(b"other", alice.sign(b"text"))
print("Python", sys.version.split()[0], "bittensor", bittensor.__version__, "grpcio", grpc.__version__, "protobuf",
      google.protobuf.__version__, "py-sr25519-bindings", version("py-sr25519-bindings"), "torch", torch.__version__,
      "numpy", numpy.__version__)
CHECK

echo "$version" >complete
cd /
rm -rf "$target"
# A rename, so that the folder is complete or absent. It works in a folder of any name.
mv -T "$work" "$target"
echo "done: $target/bin/python, $(du -sh "$target" | cut -f 1) on disk, $SECONDS s"
