//! One connection to the API without a socket, for the fuzzer.

use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::sync::Semaphore;

use super::api::{Api, Caller};
use super::link::Link;
use super::rights::Rights;
use super::server::connection;
use crate::settings::Settings;

/// More than the longest answer.
const ROOM: usize = 1 << 20;
/// So often everybody gets a turn before the client has enough.
const TURNS: usize = 64;

/// What a client gets who sends these bytes and does not wait for long: the user with this number at the
/// socket, or, without one, whoever is at the address of the page.
pub async fn talk(settings: &Settings, link: Link, user: Option<u32>, bytes: &[u8]) -> Vec<u8> {
    let api = Arc::new(Api::new(settings, link, Rights::look_up(settings)));
    let (mut client, server) = duplex(ROOM);
    let Ok(place) = Arc::new(Semaphore::new(1)).try_acquire_owned() else {
        return Vec::new();
    };
    let caller = user.map_or(Caller::Anybody, Caller::User);
    let served = tokio::spawn(connection(api, server, caller, place));
    let _ = client.write_all(bytes).await;
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
        if served.is_finished() {
            break;
        }
    }
    served.abort();
    let mut answer = Vec::new();
    let _ = client.read_to_end(&mut answer).await;
    answer
}
