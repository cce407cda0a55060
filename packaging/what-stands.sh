# Says which jails stay disabled without jailwarden, and what brings them back. What was mended came back
# while it ran, so these are broken, or disabled by hand: enabled unasked, one can keep fail2ban from
# starting. Needs no program of ours. $1: the folder that is taken for /.
what_stands() (
    said=
    for settings in "$1/etc/jailwarden/jailwarden.yaml" "$1"/etc/jailwarden/*.yaml; do
        dir=$(sed -n "s/^config_dir: *[\"']*\([^\"']*[^\"' ]\).*/\1/p" "$settings" 2>/dev/null) || true
        cd "$1${dir:-/etc/fail2ban}/jail.d" 2>/dev/null || continue
        files=$(grep -ls '^# jailwarden rollback file' zzz-jailwarden-*.local) || continue
        case "$said" in *" $PWD "*) continue ;; esac
        said="$said $PWD "
        echo "jailwarden has disabled jails. They stay disabled until these files of $PWD are removed:"
        # shellcheck disable=SC2086
        grep '^# Why:' $files /dev/null
        echo 'To have a jail back, mend what is said there, remove its file, and: fail2ban-client reload'
    done
)
