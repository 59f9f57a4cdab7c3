//! The tasks of the agent: one set, one token, one deadline.

use crate::failure::Failure;
use std::future::Future;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long tasks may take to end after a signal.
const DRAIN: Duration = Duration::from_secs(5);

/// The tasks. The first that fails, or a signal, ends all of them.
pub struct Tasks {
    set: JoinSet<Result<(), Failure>>,
    stop: CancellationToken,
}

impl Default for Tasks {
    fn default() -> Self {
        Self { set: JoinSet::new(), stop: CancellationToken::new() }
    }
}

impl Tasks {
    /// Tells tasks to end.
    #[must_use]
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Adds a task.
    pub fn add(&mut self, task: impl Future<Output = Result<(), Failure>> + Send + 'static) {
        self.set.spawn(task);
    }

    /// Waits for a signal or for the first task that ends, then for the others until the deadline.
    ///
    /// # Errors
    /// The first failure.
    pub async fn run(mut self) -> Result<(), Failure> {
        let (mut term, mut int) = signals()?;
        let first = tokio::select! {
            _ = term.recv() => { tracing::info!("SIGTERM: stopping"); Ok(()) }
            _ = int.recv() => { tracing::info!("SIGINT: stopping"); Ok(()) }
            ended = self.set.join_next() => ended.map_or(Ok(()), flatten),
        };
        self.stop.cancel();
        let rest = async {
            let mut outcome = Ok(());
            while let Some(ended) = self.set.join_next().await {
                outcome = outcome.and(flatten(ended));
            }
            outcome
        };
        let rest = tokio::time::timeout(DRAIN, rest).await;
        first.and(rest.unwrap_or_else(|late| Err(Failure::Task("drain", late.into()))))
    }
}

/// SIGHUP.
///
/// # Errors
/// The kernel's.
pub fn hangup() -> Result<Signal, Failure> {
    listen(SignalKind::hangup())
}

/// SIGTERM and SIGINT.
///
/// # Errors
/// The kernel's.
pub fn signals() -> Result<(Signal, Signal), Failure> {
    Ok((listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?))
}

fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|error| Failure::Task("signals", error.into()))
}

fn flatten(ended: Result<Result<(), Failure>, tokio::task::JoinError>) -> Result<(), Failure> {
    ended.unwrap_or_else(|error| Err(Failure::Task("agent", error.into())))
}
