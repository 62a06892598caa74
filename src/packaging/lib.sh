# shellcheck shell=bash
#
# lib.sh -- what deb, dist and rpm-spec share: the release and its date, a copy
# of the tree, and where the results go.

set -euo pipefail
umask 022
export LC_ALL=C.UTF-8

packaging=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$packaging/../.." && pwd)
out=${OUT:-$packaging/out}
changelog=$top/sql/doc/changelog.md
maintainer="${DEBFULLNAME:-rocketq developers} <${DEBEMAIL:-rocketq@example.org}>"

die()
{
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# What SQL calls the version, like 1.0.
extension_version()
{
    sed -n "s/^default_version = '\(.*\)'\$/\1/p" "$top/rocketq.control"
}

# What packages call it, like 1.0.3: the version for SQL, and how often the
# library alone has changed since.
release()
{
    local release version
    release=$(sed -n 's/^## \([0-9]\+\.[0-9]\+\.[0-9]\+\)$/\1/p' "$changelog" | head -n 1)
    version=$(extension_version)
    [ "${release%.*}" = "$version" ] ||
        die "the changelog begins with \"$release\", but rocketq.control says \"$version\""
    echo "$release"
}

# Whether the tree is a checkout, and not merely somewhere in one.
is_checkout()
{
    [ "$(git -C "$top" rev-parse --show-toplevel 2>/dev/null)" = "$top" ]
}

# The seconds at which everything in a package was made, as far as it says so.
source_date()
{
    if [ -n "${SOURCE_DATE_EPOCH-}" ]; then
        echo "$SOURCE_DATE_EPOCH"
    elif is_checkout; then
        git -C "$top" log -1 --format=%ct
    else
        stat -c %Y "$changelog"
    fi
}

# Fill in the variable parts of a file.
filled_in()         # file [sed expression...]
{
    local file=$1
    shift
    sed -e "s/@RELEASE@/$release/g; s/@VERSION@/$(extension_version)/g" "$@" "$file"
}

# The sources, without what was made from them; of a checkout what git knows,
# changed or not.
copy_sources()      # directory
{
    mkdir "$1"
    if is_checkout; then
        git -C "$top" ls-files -z | tar -C "$top" --null --no-recursion -T - -cf -
    else
        tar -C "$top" -X "$top/src/tools/not_source" -cf - .
    fi | tar -C "$1" -xf -
}

release=$(release)
date=$(source_date)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
