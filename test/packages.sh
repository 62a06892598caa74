# shellcheck shell=bash
#
# packages.sh -- test/check --packages: the packages are made, installed, tried
# and removed in a Debian like those of versions.sh, one for each version, this
# machine's own included.
#
# What a run does there goes to a file system in memory over that Debian, so
# neither it nor this machine is changed; only the tools that packages are made
# with are installed in it for good.

package_tools=(build-essential debhelper elfutils fakeroot git lintian pgxnclient
    postgresql-server-dev-all rpm rpmlint unzip)
image_tools=(buildah debootstrap netavark)  # where Containerfile's base is the same Debian

# Arguments as for $enter of versions.sh, which goes on.
# shellcheck disable=SC2016
overlay='
    set -e
    root=$1 aside=$2
    shift 2
    mount -t tmpfs -o mode=755 rocketq "$aside"
    mkdir "$aside/upper" "$aside/work" "$aside/root"
    mount -t overlay rocketq \
        -o "lowerdir=$root,upperdir=$aside/upper,workdir=$aside/work" "$aside/root"
    exec bash -c "$enter" enter "$aside/root" "$@"'

has_overlay()
{
    as_root modprobe -q overlay 2>/dev/null || true
    grep -qw overlay /proc/filesystems || {
        echo 'the kernel has no overlay file system'
        return 77
    }
}

has_tools()         # root, package...
{
    local root=$1
    shift
    # shellcheck disable=SC2016
    as_root chroot "$root" sh -c 'for package; do
            [ "$(dpkg-query -W -f "\${db:Status-Status}" "$package" 2>/dev/null)" = installed ] ||
                exit 1
        done' sh "$@"
}

# Status 77 if that is impossible here, or now.
make_package_chroot()   # version
{
    local root=$chroots/$1 tools=("${package_tools[@]}")
    ! grep -q "^FROM debian:$(suite_of "$1")-" "$top/src/packaging/Containerfile" ||
        tools+=("${image_tools[@]}")
    as_root test -d "$root" || make_chroot "$1" || return
    ! has_tools "$root" "${tools[@]}" || return 0
    inside "$root" sh -ec '
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -q
        apt-get install -y -q --no-install-recommends "$@"
        apt-get clean' sh "${tools[@]}" && return
    mirror_answers "$(suite_of "$1")" && return 1
    echo "$mirror no longer answers"
    return 77
}

# Under the lock of lock_installation, which test/check takes in there.
# shellcheck disable=SC2154
run_packages()      # version
{
    local root=$chroots/$1 rc=0
    as_root flock -o "$root/usr/lib/postgresql/$1/lib" \
        unshare --mount --pid --fork --kill-child \
        env -u TMPDIR -u PG_CONFIG enter="$enter" RQ_MIRROR="$mirror" \
        bash -c "$overlay" overlay "$root" "$aside" "$top" test/packages/run "$1" || rc=$?
    return $rc
}

check_packages()    # versions, separated by commas
{
    local version list check rc aside
    aside=$(mktemp -d)
    IFS=, read -ra list <<<"$1"
    for version in "${list[@]}"; do
        [[ $version =~ ^[0-9]+$ ]] || die "\"$version\" is no major version of PostgreSQL"
        say "packages for PostgreSQL $version"
        rc=0
        step 'overlay file system' has_overlay || rc=$?
        if [ "$rc" -eq 0 ]; then
            command -v apt-get >/dev/null && install_if_possible debootstrap wget
            step 'a Debian with tools for packages' make_package_chroot "$version" || rc=$?
        fi
        [ "$rc" -eq 0 ] || [ "$rc" -eq 77 ] || failed=$((failed + 1))
        if [ "$rc" -eq 0 ]; then
            check=(run_packages "$version")
            check_version
        fi
        say
    done
    rmdir "$aside"
}
