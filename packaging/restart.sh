# Has the new program watch where the old one does: each instance by itself, and only if its settings are
# sound. With faulty ones the new one would not start, and nobody would watch: the old one, if it runs, goes
# on. $units: those of the host's own fail2ban. $@: what (re)starts a unit.
restart_sound() {
    further=$(systemctl list-units --full --plain --no-legend --state=active,activating,reloading \
        'jailwarden@*.service' | sed 's/[[:space:]].*//') || true
    for unit in $units $further; do
        name=$(echo "$unit" | sed -n 's/^jailwarden@\(.*\)\.service$/\1/p')
        if said=$(jailwarden ${name:+--instance "$name"} config check 2>&1); then
            "$@" "$unit" >/dev/null || true
        else
            echo "$said" >&2
            echo "$unit is not (re)started with faulty settings. Mend them, then: systemctl restart $unit" >&2
        fi
    done
}
