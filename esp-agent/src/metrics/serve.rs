//! `/metrics`, `/live` and `/ready` over HTTP.

use super::render::{SPI_SERIES, render};
use super::text::CONTENT_TYPE;
use crate::ready::Ready;
use crate::snapshot::{Snapshot, SnapshotError};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header::CONTENT_TYPE as CONTENT_TYPE_HEADER};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// Where snapshots come from. It is called on a thread that may block, one call at a time.
pub trait Source: Send + Sync + 'static {
    /// Reads everything anew.
    ///
    /// # Errors
    /// A map, a file or a netlink socket cannot be read.
    fn snapshot(&self) -> Result<Snapshot, SnapshotError>;
}

/// Bounds of a scrape.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest time for one scrape, waiting for an earlier one included.
    pub timeout: Duration,
    /// Flows with series of their own.
    pub spi_series: usize,
}

impl Default for Limits {
    /// 10 s, the default `scrape_timeout` of Prometheus, and [`SPI_SERIES`].
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), spi_series: SPI_SERIES }
    }
}

/// The server ended for another reason than the shutdown.
#[derive(Debug, thiserror::Error)]
#[error("failed to serve the metrics")]
pub struct ServeError(#[from] std::io::Error);

/// How long answers that are under way may take at the end: a client that sends half a request would never let go.
const GRACE: Duration = Duration::from_secs(2);

/// Serves until `shutdown` is cancelled; a scrape that is under way is answered first, if it takes no longer than
/// two seconds.
///
/// # Errors
/// The listener fails.
pub async fn serve(
    listener: TcpListener,
    source: impl Source,
    ready: Ready,
    limits: Limits,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let state = Server { source: Arc::new(source), ready, limits, turn: Arc::new(Semaphore::new(1)) };
    let routes = Router::new()
        .route("/metrics", get(metrics))
        .route("/live", get(|| async { "live\n" }))
        .route("/ready", get(readiness))
        .fallback(|| async { (StatusCode::NOT_FOUND, "not found; there is /metrics, /live and /ready\n") })
        .with_state(state);
    let late = shutdown.clone();
    let late = async move {
        late.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    let served = axum::serve(listener, routes).with_graceful_shutdown(shutdown.cancelled_owned());
    tokio::select! {
        ended = served => Ok(ended?),
        () = late => Ok(()),
    }
}

#[derive(Clone)]
struct Server {
    source: Arc<dyn Source>,
    ready: Ready,
    limits: Limits,
    /// One scrape at a time: a stuck source holds one thread, however often it is asked.
    turn: Arc<Semaphore>,
}

async fn metrics(State(server): State<Server>) -> Response {
    let timeout = server.limits.timeout;
    match tokio::time::timeout(timeout, scrape(server)).await {
        Ok(Ok(text)) => ([(CONTENT_TYPE_HEADER, CONTENT_TYPE)], text).into_response(),
        Ok(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{}\n", chain(&error))).into_response(),
        Err(_) => {
            let text = format!("failed to read the counters within {} s\n", timeout.as_secs_f64());
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}

/// Why a scrape has no answer.
#[derive(Debug, thiserror::Error)]
enum ScrapeError {
    #[error(transparent)]
    Source(#[from] SnapshotError),
    #[error("failed to finish a scrape")]
    Panicked(#[from] tokio::task::JoinError),
    #[error("failed to start a scrape: the server is closing")]
    Closed(#[from] tokio::sync::AcquireError),
}

async fn scrape(server: Server) -> Result<String, ScrapeError> {
    let permit = server.turn.acquire_owned().await?;
    let work = move || {
        // Kept by the thread and not by the request: the turn ends with the read, also when no one waits any more.
        let _permit = permit;
        server.source.snapshot().map(|snapshot| render(&snapshot, server.limits.spi_series))
    };
    Ok(tokio::task::spawn_blocking(work).await??)
}

async fn readiness(State(server): State<Server>) -> (StatusCode, String) {
    let missing = server.ready.missing();
    if missing.is_empty() {
        return (StatusCode::OK, "ready\n".to_owned());
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready, missing: {}\n", missing.join(", ")))
}

/// An error with its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;
    use std::sync::Mutex;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::task::JoinSet;

    /// What a test waits for at most.
    const DEADLINE: Duration = Duration::from_secs(20);

    struct Fake<F>(F);

    impl<F: Fn() -> Result<Snapshot, SnapshotError> + Send + Sync + 'static> Source for Fake<F> {
        fn snapshot(&self) -> Result<Snapshot, SnapshotError> {
            (self.0)()
        }
    }

    fn sample() -> Snapshot {
        Snapshot { xfrm_stat: Some(vec![("XfrmInNoPols".to_owned(), 3)]), ..Snapshot::default() }
    }

    struct Running {
        addr: SocketAddr,
        ready: Ready,
        shutdown: CancellationToken,
        tasks: JoinSet<Result<(), ServeError>>,
    }

    impl Running {
        async fn start(source: impl Source, timeout: Duration) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let (addr, ready, shutdown) =
                (listener.local_addr().unwrap(), Ready::default(), CancellationToken::new());
            let limits = Limits { timeout, ..Limits::default() };
            let mut tasks = JoinSet::new();
            tasks.spawn(serve(listener, source, ready.clone(), limits, shutdown.clone()));
            Self { addr, ready, shutdown, tasks }
        }

        /// The status code, the head and the body of an answer.
        async fn get(&self, path: &str) -> (u16, String, String) {
            tokio::time::timeout(DEADLINE, request(self.addr, path)).await.expect("an answer in time")
        }

        async fn stop(mut self) {
            self.shutdown.cancel();
            let ended = tokio::time::timeout(DEADLINE, self.tasks.join_next()).await.expect("an end in time");
            ended.expect("one task").expect("no panic").expect("a clean end");
        }
    }

    async fn request(addr: SocketAddr, path: &str) -> (u16, String, String) {
        let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status code");
        (code, head.to_lowercase(), body.to_owned())
    }

    #[tokio::test]
    async fn metrics_live_and_unknown_paths() {
        let server = Running::start(Fake(|| Ok(sample())), DEADLINE).await;
        let (code, head, body) = server.get("/metrics").await;
        assert_eq!((code, body), (200, render(&sample(), SPI_SERIES)));
        assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
        assert_eq!(server.get("/live").await.0, 200);
        let (code, _, body) = server.get("/").await;
        assert_eq!(code, 404);
        assert!(["/metrics", "/live", "/ready"].iter().all(|path| body.contains(path)), "{body}");
        server.stop().await;
    }

    #[tokio::test]
    async fn ready_names_what_is_missing_until_it_is_there() {
        let server = Running::start(Fake(|| Ok(sample())), DEADLINE).await;
        let attach = server.ready.hold("datapath attached");
        let (code, _, body) = server.get("/ready").await;
        assert_eq!((code, body.as_str()), (503, "not ready, missing: datapath attached\n"));
        assert_eq!(server.get("/live").await.0, 200, "live does not wait for ready");
        drop(attach);
        assert_eq!(server.get("/ready").await.0, 200);
        server.stop().await;
    }

    #[tokio::test]
    async fn a_failing_source_is_500_with_its_causes() {
        let fails = || {
            let source = Box::new(std::io::Error::other("no such map"));
            Err(SnapshotError { what: "map FLOWS".to_owned(), source })
        };
        let server = Running::start(Fake(fails), DEADLINE).await;
        let (code, _, body) = server.get("/metrics").await;
        assert_eq!((code, body.as_str()), (500, "failed to read map FLOWS: no such map\n"));
        server.stop().await;
    }

    #[tokio::test]
    async fn a_slow_source_is_503_holds_one_thread_and_recovers() {
        let (release, gate): (Sender<()>, Receiver<()>) = channel();
        let (calls, gate) = (Arc::new(Mutex::new(0)), Mutex::new(gate));
        let counted = Arc::clone(&calls);
        let slow = move || {
            *counted.lock().unwrap() += 1;
            // Ends at once when the sender is gone: that is the recovery.
            while gate.lock().unwrap().recv().is_ok() {}
            Ok(sample())
        };
        let server = Running::start(Fake(slow), Duration::from_millis(100)).await;
        for _ in 0..3 {
            let (code, _, body) = server.get("/metrics").await;
            assert_eq!((code, body.as_str()), (503, "failed to read the counters within 0.1 s\n"));
        }
        assert_eq!(*calls.lock().unwrap(), 1, "the later scrapes wait for the first");
        assert_eq!(server.get("/live").await.0, 200);
        drop(release);
        let recovers = async { while server.get("/metrics").await.0 != 200 {} };
        tokio::time::timeout(DEADLINE, recovers).await.expect("a good scrape in time");
        server.stop().await;
    }
}
