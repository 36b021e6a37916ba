#!/bin/sh
# Install or upgrade edgemon as a service on 64-bit Raspberry Pi OS or Debian, from this checkout.
set -eu
umask 022

usage() {
    cat <<'END'
usage: sudo systemd/install.sh [--dry-run] [--prefix DIR] [--etc DIR] [--allow ADDRESSES]

  --dry-run          print every step and change nothing
  --prefix DIR       where the program goes (default /opt/edgemon, which the unit expects)
  --etc DIR          where the configuration goes (default /etc/edgemon, which the unit expects)
  --allow ADDRESSES  let the service reach only loopback and these, for example "192.168.10.5 192.168.10.0/28"
END
}

dry_run=
prefix=/opt/edgemon
etc=/etc/edgemon
allow=
while [ $# -gt 0 ]; do
    case $1 in
        --dry-run) dry_run=yes ;;
        --prefix | --etc | --allow)
            [ $# -ge 2 ] || { echo "install.sh: $1 needs a value" >&2; exit 2; }
            case $1 in
                --prefix) prefix=$2 ;;
                --etc) etc=$2 ;;
                --allow) allow=$2 ;;
            esac
            shift
            ;;
        -h | --help) usage; exit 0 ;;
        *) echo "install.sh: unknown option $1" >&2; usage >&2; exit 2 ;;
    esac
    shift
done

here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
units=/etc/systemd/system
venv=$prefix/.venv
# The system's own: picamera2 is built for it, and one below a home directory is hidden from the service
python=${PYTHON:-/usr/bin/python3}

fail() {
    echo "install.sh: $1" >&2
    exit 1
}

run() {
    echo "+ $*"
    [ -n "$dry_run" ] || "$@"
}

# What this machine must be
[ "$(getconf LONG_BIT)" = 64 ] || fail "needs a 64-bit system: ONNX Runtime has no 32-bit build; install the 64-bit Raspberry Pi OS"
command -v "$python" >/dev/null || fail "needs Python 3.11 or later: apt install python3 python3-venv"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "needs Python 3.11 or later, got $("$python" --version); Raspberry Pi OS bookworm and trixie have it"
"$python" -c 'import ensurepip, venv' 2>/dev/null || fail "needs python3-venv: apt install python3-venv"
[ -f "$here/requirements.lock" ] || fail "no requirements.lock in $here: run this script from a checkout of edgemon"
[ -n "$dry_run" ] || [ "$(id -u)" = 0 ] || fail "run me with sudo, or look first with --dry-run"

# Who runs it
getent group render >/dev/null || run groupadd --system render
getent passwd edgemon >/dev/null ||
    run useradd --system --user-group --home-dir /var/lib/edgemon --no-create-home --shell /usr/sbin/nologin edgemon
run usermod --append --groups video,render edgemon

# The program; picamera2 and libcamera come from the system (apt), so the environment sees the system's packages
run install -d -m 0755 "$prefix"
run "$python" -m venv --system-site-packages "$venv"
run "$venv/bin/python" -m pip install --quiet --require-hashes --requirement "$here/requirements.lock"
run "$venv/bin/python" -m pip install --quiet --no-deps --no-build-isolation --force-reinstall "$here"
if [ -z "$dry_run" ] && "$python" -c 'import picamera2' 2>/dev/null && ! "$venv/bin/python" -c 'import picamera2'; then
    cat >&2 <<END
install.sh: warning: picamera2 works with the system's Python but not with edgemon's newer numpy (on bookworm its
    helper simplejpeg is built for numpy 1). Use Raspberry Pi OS trixie, or give this environment a newer one:
    $venv/bin/python -m pip install --ignore-installed --no-deps 'simplejpeg>=1.8'
    USB and network cameras, and video files, are not concerned.
END
fi

# The configuration: never overwritten
run install -d -m 0755 "$etc"
run install -d -m 0750 -g edgemon "$etc/tls"
if cmp -s "$here/systemd/edgemon.yaml" "$etc/edgemon.yaml"; then
    echo "install.sh: $etc/edgemon.yaml holds the defaults already"
elif [ -e "$etc/edgemon.yaml" ]; then
    run install -m 0644 "$here/systemd/edgemon.yaml" "$etc/edgemon.yaml.new"
    echo "install.sh: $etc/edgemon.yaml is kept; the new defaults are beside it in edgemon.yaml.new"
else
    run install -m 0644 "$here/systemd/edgemon.yaml" "$etc/edgemon.yaml"
fi

# The service
run install -m 0644 "$here/systemd/edgemon.service" "$units/edgemon.service"
if [ -n "$allow" ]; then
    run install -d -m 0755 "$units/edgemon.service.d"
    echo "+ write $units/edgemon.service.d/network.conf: IPAddressAllow=localhost $allow"
    [ -n "$dry_run" ] ||
        printf '[Service]\nIPAddressAllow=\nIPAddressAllow=localhost %s\n' "$allow" >"$units/edgemon.service.d/network.conf"
fi
run install -d -m 0700 -o edgemon -g edgemon /var/lib/edgemon
run systemctl daemon-reload
run systemctl enable edgemon.service

# What is still wrong; the service is not started before a person has looked
echo "+ sudo -u edgemon $venv/bin/edgemon doctor --config $etc/edgemon.yaml"
if [ -z "$dry_run" ]; then
    runuser -u edgemon -- "$venv/bin/edgemon" doctor --config "$etc/edgemon.yaml" ||
        echo "install.sh: follow the remedies above, then: sudo systemctl restart edgemon" >&2
    echo "install.sh: edit $etc/edgemon.yaml, then: sudo systemctl restart edgemon"
fi
