# shellcheck shell=bash
#
# upgrades.sh -- test/check from one version of PostgreSQL to another: pg_upgrade
# needs the programs of both on one machine.
#
# The older server is packed where it is installed (pack_server), here or in its
# Debian (versions.sh), and unpacked where the newer one is, which runs the test.
# It finds its files relative to its programs.  What the newer Debian lacks of its
# libraries is unpacked, too: none of these can get into the way of others.

# The root of a version's machine, empty for this one, after find_version().
root_of()           # version
{
    if is_usable "$(pg_config_of "$1")"; then
        echo
    else
        echo "$chroots/$1"
    fi
}

run_at()            # root, command...
{
    local root=$1
    shift
    if [ -z "$root" ]; then
        as_root "$@"
    else
        inside "$root" "$@"
    fi
}

tree_at()           # root
{
    if [ -z "$1" ]; then
        echo "$top"
    else
        echo /srv
    fi
}

# For a shell where the newer server is: take away the libraries that are there.
# shellcheck disable=SC2016
lacking='
    cd "$1"
    for library in libraries/*; do
        ! ldconfig -p | grep -q "^[[:space:]]*${library##*/} " || rm "$library"
    done
    chmod -R a+rX .'

unpack_old()        # root of the older server, its version, root of the newer one
{
    local old_root=$1 version=$2 new_root=$3
    as_root rm -rf "$new_root$old_place" &&
        as_root mkdir "$new_root$old_place" &&
        run_at "$old_root" env "PG_CONFIG=$(pg_config_of "$version")" \
            "$(tree_at "$old_root")/test/pack_server" |
            as_root tar -C "$new_root$old_place" -xf - &&
        run_at "$new_root" sh -ec "$lacking" lacking "$old_place"
}
old_place=/var/tmp/rocketq-old-server

check_upgrade()     # version, newer version
{
    local check old_root new_root
    find_version "$1" && find_version "$2" || return 0
    old_root=$(root_of "$1")
    new_root=$(root_of "$2")
    if step "pack PostgreSQL $1" unpack_old "$old_root" "$1" "$new_root"; then
        check=(run_at "$new_root" env "PG_CONFIG=$(pg_config_of "$2")"
            "RQ_OLD_SERVER=$old_place$(dirname "$(dirname "$(pg_config_of "$1")")")"
            "$(tree_at "$new_root")/test/check")
        check_version 060
    else
        failed=$((failed + 1))
    fi
    as_root rm -rf "$new_root$old_place"
}

check_upgrades()    # pairs of versions, OLD:NEW, separated by commas
{
    local pair list
    IFS=, read -ra list <<<"$1"
    for pair in "${list[@]}"; do
        [[ $pair =~ ^([0-9]+):([0-9]+)$ ]] || die "\"$pair\" is no pair of versions of PostgreSQL"
        say "PostgreSQL ${BASH_REMATCH[1]} to ${BASH_REMATCH[2]}"
        check_upgrade "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
        say
    done
}
