# shellcheck shell=bash
#
# versions.sh -- test/check with several versions of PostgreSQL: with one that is
# installed here in place, with another in a Debian that has it.
#
# Such a Debian is made once, in RQ_CHROOTS, from RQ_MIRROR; to have it made
# anew, remove its directory.  A run enters it by pivot_root, since in a mere
# chroot the kernel allows no user namespaces, which some tests need; and with
# a process namespace, so that nothing outlives the run.  There it is a machine
# like any other: test/check installs what its tests want.
#
# What this machine or the mirror does not give is a reason to skip a version,
# which is said; so is a mirror that takes forever.

chroots=${RQ_CHROOTS:-/var/cache/rocketq-chroots}
mirror=${RQ_MIRROR:-http://deb.debian.org/debian}
patience=600            # seconds for each of the two steps of making one
chroot_size=2000        # megabytes, with what tests install later

suite_of()          # version
{
    case $1 in
        15) echo bookworm ;;
        17) echo trixie ;;
        18) echo sid ;;
    esac
}

pg_config_of()      # version
{
    echo "/usr/lib/postgresql/$1/bin/pg_config"
}

mirror_answers()    # suite
{
    timeout 60 wget -q -T 20 -t 2 -O /dev/null "$mirror/dists/$1/Release"
}

# Else says why not.
may_enter_chroots()
{
    local problem
    if [ "$(id -u)" -ne 0 ] && ! sudo -n true 2>/dev/null; then
        echo 'neither root nor sudo'
    elif ! problem=$(as_root unshare --mount --pid --fork --kill-child \
        sh -c 'mount -t proc proc /proc' 2>&1); then
        echo "no namespaces and mounts here: $(tail -n 1 <<<"$problem")"
    else
        return 0
    fi
    return 1
}

has_room()
{
    local megabytes
    megabytes=$(as_root df --output=avail -BM "$chroots" | tr -dc 0-9)
    [ "${megabytes:-0}" -ge "$chroot_size" ]
}

# For a shell of root's in new namespaces.  The tree is in /srv, read-only.
# shellcheck disable=SC2016
enter='
    set -e
    root=$1 tree=$2
    shift 2
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount --rbind /sys "$root/sys"
    mount --bind "$tree" "$root/srv"
    mount -o remount,bind,ro "$root/srv"
    cat /etc/resolv.conf >"$root/etc/resolv.conf"
    cd "$root"
    pivot_root . mnt
    cd /srv
    umount -l /mnt
    exec env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"'

inside()            # root, command...
{
    local root=$1
    shift
    # shellcheck disable=SC2154
    as_root unshare --mount --pid --fork --kill-child \
        env -u TMPDIR -u PG_CONFIG bash -c "$enter" enter "$root" "$top" "$@"
}

# It has another name until it is complete.
fill_chroot()       # version, suite
{
    local root=$chroots/$1.partial
    as_root rm -rf "$root" || return
    as_root timeout "$patience" debootstrap --variant=minbase "$2" "$root" "$mirror" || return
    # A mirror can have an older list of sid than the list itself allows.
    as_root tee "$root/etc/apt/apt.conf.d/rocketq" >/dev/null \
        <<<'Acquire::Check-Valid-Until "false";' || return
    as_root install -m 755 /dev/stdin "$root/usr/sbin/policy-rc.d" \
        <<<$'#!/bin/sh\nexit 101' || return
    as_root install -D /dev/stdin "$root/etc/postgresql-common/createcluster.d/rocketq.conf" \
        <<<'create_main_cluster = false' || return
    # As the first process of a namespace, which has no parent, sid's timeout fails.
    inside "$root" sh -ec "
        export DEBIAN_FRONTEND=noninteractive
        timeout $patience apt-get update -q
        timeout $patience apt-get install -y -q --no-install-recommends postgresql-$1 \
            postgresql-server-dev-$1 gcc libc6-dev make perl libipc-run-perl
        apt-get clean" || return
    as_root mv "$root" "$chroots/$1"
}

# Status 77 if that is impossible here, or now.
make_chroot()       # version
{
    local suite rc=0
    suite=$(suite_of "$1")
    if [ -z "$suite" ]; then
        echo "not installed, and no release of Debian has PostgreSQL $1"
        return 77
    elif ! command -v debootstrap >/dev/null; then
        echo 'debootstrap is missing'
        return 77
    elif ! mirror_answers "$suite"; then
        echo "$mirror does not answer"
        return 77
    fi
    as_root install -d -m 700 "$chroots" || return
    if ! has_room; then
        echo "$chroots has less than $chroot_size MB left"
        return 77
    fi
    fill_chroot "$1" "$suite" || rc=$?
    [ "$rc" -ne 0 ] || return 0
    as_root rm -rf "$chroots/$1.partial"
    if [ "$rc" -eq 124 ]; then
        echo "$mirror has not sent all within $patience s"
    elif ! mirror_answers "$suite"; then
        echo "$mirror no longer answers"
    else
        return 1
    fi
    return 77
}

# The same, for a Debian that may be there.
have_chroot()       # version
{
    may_enter_chroots || return 77
    as_root test -d "$chroots/$1" || make_chroot "$1"
}

# The command that runs test/check with a version, in the array "check"; false if
# there is none, which has been reported.
find_version()      # version
{
    local rc=0 alone
    if is_usable "$(pg_config_of "$1")"; then
        check=(env "PG_CONFIG=$(pg_config_of "$1")" "$top/test/check")
        return
    fi
    # Runs beside each other (.ci/run) would install the same packages at once.
    exec {alone}<"$top"
    flock "$alone"
    if ! as_root test -d "$chroots/$1" 2>/dev/null && command -v apt-get >/dev/null &&
        may_enter_chroots >/dev/null; then
        install_if_possible debootstrap debian-archive-keyring wget
    fi
    step "a Debian with PostgreSQL $1" have_chroot "$1" || rc=$?
    exec {alone}<&-
    [ "$rc" -eq 0 ] || [ "$rc" -eq 77 ] || failed=$((failed + 1))
    [ "$rc" -eq 0 ] || return
    check=(inside "$chroots/$1" env "PG_CONFIG=$(pg_config_of "$1")" test/check)
}

check_version()     # argument of test/check...; with "check"
{
    local rc=0 log
    log=$(mktemp)
    "${check[@]}" "$@" </dev/null 2>&1 | tee "$log" || rc=$?
    if [[ $(tail -n 1 "$log") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
        passed=$((passed + BASH_REMATCH[1]))
        failed=$((failed + BASH_REMATCH[2]))
        [ "${BASH_REMATCH[2]}" -eq 0 ] || rc=0
    fi
    [ "$rc" -eq 0 ] || failed=$((failed + 1))
    rm -f "$log"
}

check_versions()    # versions, separated by commas; argument of test/check...
{
    local version list check
    IFS=, read -ra list <<<"$1"
    shift
    for version in "${list[@]}"; do
        [[ $version =~ ^[0-9]+$ ]] || die "\"$version\" is no major version of PostgreSQL"
        say "PostgreSQL $version"
        if find_version "$version"; then
            check_version "$@"
            export RQ_SOURCE_IS_CHECKED=1
        fi
        say
    done
}
