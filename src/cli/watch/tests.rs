use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::json;

use super::draw::draw;
use super::view::{Deed, View, Wish};
use crate::cli::status::tests::{degraded, healthy, parsed, restarting};

fn screen(view: &View, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(view, frame)).unwrap();
    terminal.backend().to_string()
}

fn press(view: &mut View, key: char) -> Option<Wish> {
    view.key(KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE))
}

#[test]
fn the_screen_of_each_situation() {
    let view = View::new(parsed(healthy()), true);
    insta::assert_snapshot!("healthy", screen(&view, 80, 24));
    let view = View::new(parsed(degraded()), false);
    insta::assert_snapshot!("degraded_read_only", screen(&view, 80, 24));
    let mut view = View::new(parsed(restarting()), true);
    view.at_work = Some(Deed::Restart);
    let happening = json!({
        "seq": 1, "at": view.status.at, "state": "restarting", "kind": "daemon-down", "incident": "a",
        "jails": [], "text": "fail2ban is \u{1b}[2Jnot running",
    });
    view.happened(serde_json::from_value(happening).unwrap());
    insta::assert_snapshot!("restarting", screen(&view, 80, 24));
}

#[test]
fn many_jails_scroll_to_the_one_that_is_pointed_at() {
    let mut status = healthy();
    let one = status["jails"][0].clone();
    let jails = (0..200).map(|n| {
        let mut jail = one.clone();
        jail["name"] = json!(format!("jail-{n:03}"));
        jail
    });
    status["jails"] = json!(jails.collect::<Vec<_>>());
    let mut view = View::new(parsed(status), true);
    for _ in 0..150 {
        press(&mut view, 'j');
    }
    let said = screen(&view, 80, 24);
    assert!(
        said.contains("jail-150") && !said.contains("jail-151"),
        "{said}"
    );
}

#[test]
fn any_size_can_be_drawn() {
    let view = View::new(parsed(degraded()), true);
    for (width, height) in [(1, 1), (10, 5), (40, 12), (300, 100)] {
        screen(&view, width, height);
    }
}

#[test]
fn each_deed_is_asked_for_first() {
    let mut view = View::new(parsed(degraded()), true);
    let deeds = [
        ('r', Deed::Reload),
        ('R', Deed::Restart),
        ('p', Deed::Pause),
        ('u', Deed::Undo("sshd".to_owned())),
    ];
    for (key, deed) in deeds {
        assert_eq!(press(&mut view, key), None);
        assert!(screen(&view, 80, 24).contains(&deed.question()), "{deed:?}");
        assert_eq!(press(&mut view, 'n'), None);
        assert_eq!(press(&mut view, 'y'), None, "{deed:?} was said no to");
        press(&mut view, key);
        assert_eq!(press(&mut view, 'y'), Some(Wish::Do(deed)));
    }
    let mut paused = degraded();
    paused["pause"] = json!({ "why": "root", "until": null });
    view.update(parsed(paused));
    press(&mut view, 'p');
    assert_eq!(press(&mut view, 'y'), Some(Wish::Do(Deed::Resume)));
    assert_eq!(press(&mut view, 'q'), Some(Wish::Quit));
}

#[test]
fn who_may_only_look_is_asked_nothing() {
    let mut view = View::new(parsed(degraded()), false);
    for key in ['r', 'R', 'p', 'u'] {
        assert_eq!(press(&mut view, key), None);
        assert!(view.question.is_none() && view.said.is_some(), "{key}");
        assert_eq!(press(&mut view, 'y'), None);
    }
}

#[test]
fn an_undo_needs_a_rollback() {
    let mut view = View::new(parsed(healthy()), true);
    press(&mut view, 'u');
    assert!(view.question.is_none());
    let mut two = degraded();
    two["jails"][0]["rollback"] = two["jails"][1]["rollback"].clone();
    two["jails"][0]["condition"] = json!("rolled-back");
    view.update(parsed(two));
    view.selected = 2;
    press(&mut view, 'u');
    assert!(view.question.is_none(), "which of the two?");
    press(&mut view, 'k');
    press(&mut view, 'u');
    assert_eq!(view.question, Some(Deed::Undo("sshd".to_owned())));
}
