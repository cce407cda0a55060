//! The `jailwarden` command.

fn main() {}
