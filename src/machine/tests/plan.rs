//! What leads from one plan to another.

use super::*;

/// Jails with the digests of their commands and of their actions.
fn plan(server: u128, jails: &[(&str, u128, u128)]) -> Plan {
    let jail = |(name, digest, actions): &(&str, u128, u128)| {
        let (digest, actions) = (*digest, *actions);
        ((*name).to_owned(), JailPlan { digest, actions })
    };
    Plan {
        server,
        jails: jails.iter().map(jail).collect(),
    }
}

fn words(changes: &Changes) -> String {
    let words = changes.iter().map(|(name, change)| match change {
        Change::Load(digest) => format!("+{name}{digest}"),
        Change::Restart(digest) => format!("*{name}{digest}"),
        Change::Unload => format!("-{name}"),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_jail_is_loaded_where_that_is_enough_and_restarted_for_other_actions() {
    let one = plan(1, &[("a", 1, 1), ("m", 1, 1), ("y", 1, 1), ("z", 1, 1)]);
    let other = plan(1, &[("a", 1, 1), ("b", 2, 1), ("m", 2, 1), ("y", 2, 2)]);
    let changes = one.changes_to(&other, &set(&[]));
    assert_eq!(words(&changes), "+b2 +m2 *y2 -z");
    let changes = one.changes_to(&other, &set(&["b", "z"]));
    assert_eq!(words(&changes), "+m2 *y2");
    assert_eq!(words(&one.changes_to(&one, &set(&[]))), "");
    let of_names = Plan::of_names(&set(&["a"]));
    assert_eq!(
        words(&of_names.changes_to(&one, &set(&["m", "y", "z"]))),
        "*a1"
    );
}

#[test]
fn what_is_in_doubt_is_sent_though_the_plan_is_the_same() {
    let one = plan(1, &[("a", 1, 1), ("m", 1, 1), ("z", 1, 1)]);
    let other = plan(1, &[("a", 1, 1), ("b", 1, 1), ("m", 2, 1), ("z", 2, 2)]);
    assert!(Doubt::between(&one, &one).is_empty());
    let doubt = Doubt::between(&one, &other);
    assert!(!doubt.is_empty() && !doubt.server);
    let settled = |plan: &Plan, listed: &[&str], known: &Changes| {
        let mut changes = known.clone();
        doubt.settle(plan, &set(listed), &mut changes);
        words(&changes)
    };
    let none = Changes::new();
    assert_eq!(settled(&other, &[], &none), "*b1 +m2 *z2");
    // Of what is not in the plan, only what runs is taken away.
    assert_eq!(settled(&one, &["b"], &none), "-b +m1 +z1");
    assert_eq!(settled(&one, &[], &none), "+m1 +z1");
    let restart = [("m".to_owned(), Change::Restart(2))].into();
    assert_eq!(settled(&other, &[], &restart), "*b1 *m2 *z2");
    let load = [("z".to_owned(), Change::Load(2))].into();
    assert_eq!(settled(&other, &[], &load), "*b1 +m2 *z2");
    // The settings of the server alone are in doubt, too.
    let server = Doubt::between(&one, &plan(2, &[("a", 1, 1), ("m", 1, 1), ("z", 1, 1)]));
    assert!(server.server && server.jails.is_empty() && !server.is_empty());
}

#[test]
fn one_jail_is_taken_over_or_gone() {
    let mut one = plan(1, &[("a", 1, 1), ("m", 1, 1)]);
    let other = plan(2, &[("a", 2, 1)]);
    one.adopt(&other, "a");
    assert_eq!(one, plan(1, &[("a", 2, 1), ("m", 1, 1)]));
    one.adopt(&other, "m");
    assert_eq!(one, plan(1, &[("a", 2, 1)]));
}
