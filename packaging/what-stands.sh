# Says which jails stay disabled without jailwarden, and what brings them back. What was mended came back
# while it ran, so these are broken, or disabled by hand: enabled unasked, one can keep fail2ban from
# starting. Needs no program of ours. $1: the folder that is taken for /.
what_stands() (
    seen=
    for settings in "$1/etc/jailwarden/jailwarden.yaml" "$1"/etc/jailwarden/*.yaml; do
        config=$(sed -n "/^config_dir[[:space:]]*:/{
            s///
            s/[[:space:]]#.*//
            s/[\"']//g
            s/^[[:space:]]*//
            s|[[:space:]/]*\$||
            p
            q
        }" "$settings" 2>/dev/null) || true
        config=${config:-/etc/fail2ban}
        case "$seen" in *" $config "*) continue ;; esac
        seen="$seen $config "
        if grep -qs '^# jailwarden rollback file' "$1$config/fail2ban.d/zzz-jailwarden.local"; then
            echo "jailwarden keeps fail2ban's database in memory, as its file could not be written. It stays there until"
            echo "  rm $1$config/fail2ban.d/zzz-jailwarden.local"
            echo 'and a restart of fail2ban (a reload would lose every jail).'
        fi
        (
            cd "$1$config/jail.d" 2>/dev/null || exit 0
            files=$(grep -ls '^# jailwarden rollback file' zzz-jailwarden-*.local) || true
            [ -n "$files" ] || exit 0
            echo "jailwarden has disabled jails. They stay disabled until these files of $PWD are removed:"
            # shellcheck disable=SC2086
            grep '^# Why:' $files /dev/null || true
            echo 'To have a jail back, mend what is said there, then:'
            of=
            [ "$config" = /etc/fail2ban ] || of="-c $config "
            for file in $files; do
                jail=${file#zzz-jailwarden-}
                # Of all jails at once, one that is still broken would cost the others.
                echo "  rm $PWD/$file && fail2ban-client ${of}reload --if-exists ${jail%.local}"
            done
        )
    done
)
