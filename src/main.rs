//! The `jailwarden` command.

fn main() {
    let s = jailwarden::settings::Settings::load(None).expect("s");
    if let Err(e) = jailwarden::shell::run(s, None) {
        eprintln!("{e}");
    }
}
