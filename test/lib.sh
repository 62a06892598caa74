# shellcheck shell=bash
#
# lib.sh -- what test/check, test/demo and test/bench/run share: packages, a
# private copy of the tree, builds, throw-away servers, and cleaning up after
# all that.
#
# The caller may define before_removal(), which runs before the temporary
# directory is removed, and last_words(), which runs at the very end.
#
# Nothing is left behind except installed packages and the installed extension.
# Existing servers and clusters are not touched: a private one has its data and
# its socket in the temporary directory and no TCP port.

set -euo pipefail
umask 022

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
name=${0##*/}           # of the script that includes this file
work=                   # the temporary directory
keep=                   # set: leave it where it is
keep_server=            # set: leave its server running, too
passed=0
failed=0

for variable in $(compgen -v PG); do
    [ "$variable" = PG_CONFIG ] || [ "$variable" = PG_TEST_EXTRA ] ||
        unset "$variable"
done
unset LC_ALL LANGUAGE MAKEFLAGS MFLAGS MAKELEVEL TEMP_CONFIG
export LANG=C.UTF-8 LC_MESSAGES=C DEBIAN_FRONTEND=noninteractive

#
# Users.  A server refuses to run as root, so if root runs this, servers run as
# run_user, and everything below the temporary directory belongs to that user.
#

if [ "$(id -u)" -eq 0 ]; then
    run_user=postgres
    as_root() { "$@"; }
else
    run_user=$(id -un)
    as_root() { sudo "$@"; }
fi

# Usable after make_work, which sets the prefix of the command.
as_user()       # command...
{
    "${user_prefix[@]}" "$@" 3>&- 4>&- 8>&- 9<&-
}

# File descriptors that a server left running must not inherit: those of our
# own output, which is also used by a signal's trap in the middle of a step
# whose output goes to a log; and, later, 8, which a caller may use to keep
# something alive, and 9, a lock (see lock_installation).
exec 3>&1 4>&2

#
# The output: one line for a step, and the end of its log when it fails.
#

say()
{
    printf '%s\n' "$*"
}

show_log()      # file [lines]
{
    [ ! -s "$1" ] || tail -n "${2:-40}" "$1" | sed 's/^/    | /'
}

result()        # ok | FAILED | skipped, name [seconds]
{
    printf '%-9s%s%s\n' "$1" "$2" "${3:+  ($3 s)}"
}

# Run a command with its output in a log, and report the result.  Status 77
# means that the command cannot do its work on this machine.
step()          # name command...
{
    local what=$1 log rc=0 start=$SECONDS
    shift
    log=$(mktemp "${work:-/tmp}/log.XXXXXX")
    "$@" >"$log" 2>&1 </dev/null || rc=$?
    case $rc in
        0) result ok "$what" $((SECONDS - start)) ;;
        77) result skipped "$what: $(tail -n 1 "$log")" ;;
        *) result FAILED "$what" $((SECONDS - start)); show_log "$log" ;;
    esac
    rm -f "$log"
    return $rc
}

# A step that is counted; the script continues after a failure.
gate()          # name command...
{
    local rc=0
    step "$@" || rc=$?
    case $rc in
        0) passed=$((passed + 1)) ;;
        77) ;;
        *) failed=$((failed + 1)) ;;
    esac
}

# A step without which the script cannot continue.
task()          # name command...
{
    step "$@" || die "cannot go on without: $1"
}

# The comment at the top of the script, without the "#!" line.
usage()
{
    sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2
    trap - EXIT
    exit 2
}

die()
{
    printf '%s: %s\n' "$name" "$*" >&2
    failed=$((failed + 1))
    exit 1
}

#
# Packages.
#

held_services=
held_clusters=
held_directory=

# Installing a server package on Debian or Ubuntu creates a cluster and starts
# every cluster there is, and other packages start their services.  Prevent all
# that during the installation.
hold_services()
{
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        held_services=1
        printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d >/dev/null
        as_root chmod 755 /usr/sbin/policy-rc.d
    fi
}

hold_clusters()
{
    local directory=/etc/postgresql-common/createcluster.d
    [ -d /etc/postgresql-common ] || return 0
    [ -d "$directory" ] || held_directory=$directory
    held_clusters=$directory/rocketq-test.conf
    as_root mkdir -p "$directory"
    echo 'create_main_cluster = false' | as_root tee "$held_clusters" >/dev/null
}

release_holds()
{
    [ -z "$held_services" ] || as_root rm -f /usr/sbin/policy-rc.d
    [ -z "$held_clusters" ] || as_root rm -f "$held_clusters"
    [ -z "$held_directory" ] || as_root rmdir --ignore-fail-on-non-empty "$held_directory"
    held_services=
    held_clusters=
    held_directory=
}

is_installed()  # package
{
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

apt_update()
{
    [ "$apt_updated" = 1 ] || task 'apt-get update' as_root timeout 300 apt-get update -q
    apt_updated=1
}
apt_updated=            # or 1, or failed

# Status 77 if there is no way to have packages now.
apt_update_or_say()
{
    as_root timeout 300 apt-get update -q && return
    echo 'the lists of packages cannot be fetched'
    return 77
}

apt_install()   # package...
{
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q \
        --no-install-recommends "$@"
}

install_missing()   # package...
{
    local package missing=()
    for package; do
        is_installed "$package" || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    [ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null ||
        die "not installed, and there is no sudo to do it: ${missing[*]}"
    apt_update
    hold_services
    if [[ " ${missing[*]} " == *' postgresql-'* ]]; then
        is_installed postgresql-common ||
            task 'install postgresql-common' apt_install postgresql-common
        hold_clusters
    fi
    task "install ${missing[*]}" apt_install "${missing[@]}"
    release_holds
}

# Packages without which a gate or test is skipped; a distribution may lack
# them, and they must fit what is installed.
install_if_possible()   # package...
{
    local package
    for package; do
        ! is_installed "$package" || continue
        [ -n "$apt_updated" ] || step 'apt-get update' apt_update_or_say || apt_updated=failed
        [ "$apt_updated" != failed ] || return 0
        apt_updated=1
        ! apt-get install -s --no-install-recommends "$package" >/dev/null 2>&1 ||
            install_missing "$package"
    done
}

#
# The server to build for: PG_CONFIG if that is set, else the newest one
# installed with everything a build needs, else the distribution's own.
#

major_version()     # pg_config
{
    "$1" --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/'
}

is_usable()         # pg_config
{
    [ -x "$1" ] && [ -x "$("$1" --bindir)/initdb" ] &&
        [ -x "$("$1" --bindir)/postgres" ] && [ -f "$("$1" --pgxs)" ] &&
        [ -f "$("$1" --includedir-server)/postgres.h" ] &&
        [ "$(major_version "$1")" -ge 15 ]
}

find_server()
{
    local candidate
    while read -r candidate; do
        if is_usable "$candidate"; then
            PG_CONFIG=$candidate
            return 0
        fi
    done < <(find /usr/lib/postgresql -path '*/bin/pg_config' 2>/dev/null | sort -Vr
        command -v pg_config || true)
    return 1
}

# Version of a server without headers, or else of the distribution's server.
version_to_install()
{
    local version
    version=$(find /usr/lib/postgresql -path '*/bin/postgres' 2>/dev/null |
        cut -d/ -f5 | sort -nr | head -n 1)
    if [ "${version:-0}" -lt 15 ]; then
        version=$(apt-cache show postgresql 2>/dev/null |
            sed -nE 's/^Depends:.*postgresql-([0-9]+).*/\1/p' | sort -nr | head -n 1)
    fi
    echo "${version:-0}"
}

choose_server()
{
    local version
    if [ -n "${PG_CONFIG-}" ]; then
        PG_CONFIG=$(command -v "$PG_CONFIG" || true)
        is_usable "$PG_CONFIG" ||
            die 'PG_CONFIG is not that of a PostgreSQL 15 or newer with server headers'
    elif ! find_server; then
        command -v apt-get >/dev/null ||
            die 'PostgreSQL 15 or newer with its server headers is needed (set PG_CONFIG)'
        apt_update
        version=$(version_to_install)
        [ "$version" -ge 15 ] ||
            die "this distribution has PostgreSQL $version, 15 or newer is needed"
        install_missing "postgresql-$version" "postgresql-server-dev-$version"
        find_server || die "postgresql-server-dev-$version is not usable"
    fi
    export PG_CONFIG
    bindir=$("$PG_CONFIG" --bindir)
}

# Everything that a build and a private server need.
prepare_machine()
{
    local tool
    if command -v apt-get >/dev/null; then
        install_missing gcc libc6-dev make
    fi
    for tool in gcc make tar flock; do
        command -v "$tool" >/dev/null || die "$tool is needed"
    done
    choose_server
    if [ "$(id -u)" -eq 0 ]; then
        id "$run_user" >/dev/null 2>&1 || run_user=nobody
    elif [ -w "$("$PG_CONFIG" --pkglibdir)" ]; then
        # shellcheck disable=SC2317
        as_root() { "$@"; }
    fi
}

#
# The temporary directory, and what is built in it.
#

make_work()
{
    work=$(mktemp -d "${TMPDIR:-/tmp}/rocketq-$name.XXXXXX")
    user_prefix=(env)
    if [ "$(id -u)" -eq 0 ]; then
        chown "$run_user" "$work"
        user_prefix=(runuser -u "$run_user" -- env HOME="$work")
    fi
    [ ${#work} -le 80 ] || die "TMPDIR is too long for the name of a socket"
    as_user mkdir "$work/socket" "$work/log" ||
        die "$run_user cannot write to ${TMPDIR:-/tmp}"
    cd "$work"
}

# The extension is installed for all servers of a version, so scripts take
# turns.
lock_installation()
{
    exec 9<"$("$PG_CONFIG" --pkglibdir)"
    flock -n 9 || {
        say 'waiting for another run to be done with the installed extension'
        flock 9
    }
}

# Copy the tree as it is, without git's directory and without build products.
copy_tree()         # directory
{
    as_user mkdir "$1"
    tar -C "$top" -X "$top/src/tools/not_source" -cf - . | as_user tar -C "$1" -xf -
}

build()             # directory [switch...]
{
    local directory=$1
    shift
    as_user make -C "$directory" -s --no-print-directory -j"$(nproc)" \
        PG_CONFIG="$PG_CONFIG" "$@" all
}

# To be called with the switches of the build; with others everything would be
# built again.
install_build()     # directory [switch...]
{
    local directory=$1
    shift
    as_root make -C "$directory" -s --no-print-directory PG_CONFIG="$PG_CONFIG" \
        "$@" install
}

#
# The private servers.  Most scripts need only one; use_cluster() switches to
# another.
#

cluster=data            # directory in the temporary one
start_timeout=60        # seconds

# The socket has a directory of its own, so no other server can have this port,
# which the server takes from the environment, too.
use_cluster()       # directory in the temporary one, port
{
    cluster=$1
    export PGHOST=$work/socket PGPORT=$2 PGUSER=postgres
}

create_cluster()    # [file with settings]
{
    as_user "$bindir/initdb" -D "$work/$cluster" -U postgres -A trust -E UTF8 \
        --no-locale -N || return
    {
        echo "listen_addresses = ''"
        echo "unix_socket_directories = '$work/socket'"
        echo "shared_preload_libraries = 'rocketq'"
        [ $# -eq 0 ] || cat "$1"
    } | as_user tee -a "$work/$cluster/postgresql.conf" >/dev/null || return
    use_cluster "$cluster" "${PGPORT:-5432}"
}

# As a child of this script, not of a pg_ctl that has exited: when the
# postmaster is killed, its parent must reap it, or it still counts as alive,
# and not every container has an init process that does this for orphans.
start_server()
{
    local launcher give_up=$((SECONDS + start_timeout))
    (
        exec "${user_prefix[@]}" setsid "$bindir/postgres" -D "$work/$cluster" \
            >>"$work/log/server.log" 2>&1 </dev/null 3>&- 4>&- 8>&- 9<&-
    ) &
    launcher=$!
    until as_user "$bindir/pg_isready" -q; do
        if ! kill -0 $launcher 2>/dev/null || [ $SECONDS -ge $give_up ]; then
            show_log "$work/log/server.log" 20
            return 1
        fi
        sleep 0.1
    done
}

kill_server()
{
    kill -KILL "$(head -n 1 "$work/$cluster/postmaster.pid")"
}

# Backends outlive the postmaster for a moment, and until the last one has
# detached from shared memory a new server refuses to start.
start_after_crash()
{
    local give_up=$((SECONDS + start_timeout))
    until start_server; do
        [ $SECONDS -lt $give_up ] || return 1
        sleep 0.1
    done
}

stop_server()
{
    as_user "$bindir/pg_ctl" -D "$work/$cluster" -m fast -w -t 60 stop
}

sql()               # argument of psql...
{
    as_user "$bindir/psql" -X -q -v ON_ERROR_STOP=1 "$@"
}

#
# The exit, for whatever reason.
#

finish()
{
    local rc=$? pid_file
    exec 1>&3 2>&4
    trap - EXIT
    trap '' INT TERM HUP PIPE
    set +e
    release_holds
    cd /
    if [ -n "$work" ] && [ -z "$keep_server" ]; then
        while read -r pid_file; do
            as_user "$bindir/pg_ctl" -D "${pid_file%/*}" -m immediate -w -t 60 stop
        done < <(find "$work" -name postmaster.pid) >/dev/null 2>&1
    fi
    if [ "$(type -t before_removal)" = function ]; then
        before_removal
    fi
    if [ -n "$work" ] && [ -z "$keep" ]; then
        rm -rf "$work"
    fi
    if [ "$(type -t last_words)" = function ]; then
        last_words
    fi
    exit $rc
}

interrupted()   # exit status
{
    exec 1>&3 2>&4
    say "$name: interrupted"
    failed=$((failed + 1))
    exit "$1"
}

trap finish EXIT
trap 'interrupted 130' INT
trap 'interrupted 143' TERM
trap 'interrupted 129' HUP
trap 'exit 141' PIPE
