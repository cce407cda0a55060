//! The thread that serves the API: it takes connections, within limits, and knows who asks.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutWriter;

use super::answer::{self, Answer};
use super::api::{Api, Caller};
use super::link::Link;
use super::listener;
use super::problem::{Kind, Problem};
use super::rights::Rights;
use crate::settings::Settings;

/// Connections of root, as many of all others together, and as many at the address of the page, so that
/// nobody can shut root out, and whoever is on this host not the group.
const CONNECTIONS: usize = 192;
/// The time for a request's head, with which an idle connection ends too.
const HEAD: Duration = Duration::from_secs(10);
/// The largest head in bytes; it also bounds what a connection costs.
const HEAD_SIZE: usize = 16 << 10;
/// How long a client may leave an answer unread.
const UNREAD: Duration = Duration::from_secs(30);
/// How often an address that is taken is tried again.
const RETRY: Duration = Duration::from_secs(30);

/// Serves the API on a thread of its own, if the settings want one. What keeps it from that is said
/// in the journal, and is no reason not to supervise.
pub fn spawn(settings: &Settings, link: Link) {
    if settings.control.socket.is_none() && settings.page_listen.is_none() {
        return;
    }
    let settings = settings.clone();
    let thread = std::thread::Builder::new().name("control".to_owned());
    if let Err(error) = thread.spawn(move || serve(&settings, link)) {
        tracing::warn!("the control API is not served: no thread: {error}");
    }
}

fn serve(settings: &Settings, link: Link) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let served = runtime.and_then(|runtime| {
        runtime.block_on(async {
            let socket = open(settings)?.map(UnixListener::from_std).transpose()?;
            let rights = Rights::look_up(settings);
            let api = Arc::new(Api::new(settings, link, rights));
            tokio::join!(at_socket(socket, &api), at_page(settings, &api));
            Ok(())
        })
    });
    if let Err(error) = served {
        tracing::warn!("the control API is not served: {error}");
    }
}

/// The socket; why there is none is said.
fn open(settings: &Settings) -> io::Result<Option<std::os::unix::net::UnixListener>> {
    let Some(path) = &settings.control.socket else {
        return Ok(None);
    };
    if let Some(passed) = listener::passed()? {
        return Ok(Some(passed));
    }
    match listener::listen(path) {
        Ok(listener) => Ok(Some(listener)),
        Err(error) => {
            tracing::warn!(
                "{}: the control API is not served, nor does `{} status` work: {error}. \
                 To try again: systemctl restart {}",
                path.display(),
                settings.called(),
                settings.service()
            );
            Ok(None)
        }
    }
}

async fn at_socket(listener: Option<UnixListener>, api: &Arc<Api>) {
    let Some(listener) = listener else { return };
    let [of_root, of_others] = [(); 2].map(|()| Arc::new(Semaphore::new(CONNECTIONS)));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            out_of_means().await;
            continue;
        };
        let Ok(peer) = stream.peer_cred() else {
            continue;
        };
        let places = if peer.uid() == 0 {
            &of_root
        } else {
            &of_others
        };
        match Arc::clone(places).try_acquire_owned() {
            Ok(place) => {
                let caller = Caller::User(peer.uid());
                tokio::spawn(connection(Arc::clone(api), stream, caller, place));
            }
            Err(_) => drop(stream.try_write(&too_many())),
        }
    }
}

async fn at_page(settings: &Settings, api: &Arc<Api>) {
    let Some(address) = settings.page_listen else {
        return;
    };
    let listener = bound(address, &settings.service()).await;
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            out_of_means().await;
            continue;
        };
        match Arc::clone(&places).try_acquire_owned() {
            Ok(place) => {
                tokio::spawn(connection(Arc::clone(api), stream, Caller::Anybody, place));
            }
            Err(_) => drop(stream.try_write(&too_many())),
        }
    }
}

/// Listens there, sooner or later.
async fn bound(address: SocketAddr, service: &str) -> TcpListener {
    let mut is_said = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => {
                tracing::info!(
                    "the page is served at http://{address}/, for everybody on this host"
                );
                return listener;
            }
            Err(error) if !is_said => {
                is_said = true;
                tracing::warn!(
                    "page.listen: {address}: the page is not served: {error}. See who is there: \
                     ss -ltnp 'sport = :{}'. Once it is free, it is taken within {} s; for another one, \
                     set page.listen, then: systemctl restart {service}",
                    address.port(),
                    RETRY.as_secs()
                );
            }
            Err(_) => {}
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Of descriptors or memory there are none left; there may be, later.
async fn out_of_means() {
    tokio::time::sleep(Duration::from_secs(1)).await;
}

/// The place is free again once this ends.
pub(super) async fn connection(
    api: Arc<Api>,
    stream: impl AsyncRead + AsyncWrite + Send + 'static,
    caller: Caller,
    _place: OwnedSemaphorePermit,
) {
    let mut stream = TimeoutWriter::new(stream);
    stream.set_timeout(Some(UNREAD));
    let stream = TokioIo::new(Box::pin(stream));
    let service = service_fn(|request| {
        let api = Arc::clone(&api);
        async move { Ok::<Answer, Infallible>(api.answer(caller, request).await) }
    });
    // One request each: a connection costs next to nothing, and so none lies idle.
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_SIZE)
        .keep_alive(false)
        .serve_connection(stream, service)
        .await;
    if let Err(error) = served {
        tracing::debug!("a connection to the control API broke: {error}");
    }
}

/// What is said, as far as that goes without waiting, where there are too many.
fn too_many() -> Vec<u8> {
    let problem = Problem::new(
        Kind::Busy,
        format!("{CONNECTIONS} connections are open; close some, or try again later"),
    );
    answer::in_full(&problem)
}
