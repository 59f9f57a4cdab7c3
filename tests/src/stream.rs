//! Numbered datagrams at a steady rate, and which of them arrived.

use crate::netns::Netns;
use anyhow::{Context, Result, bail, ensure};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    collections::BTreeMap,
    io::ErrorKind,
    net::{IpAddr, SocketAddr, UdpSocket},
    ops::RangeInclusive,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// A sender that was held up sends this many at once, and lets the others go: a burst would overflow the kernel's
/// queues, which is not what is looked at.
const BURST: u32 = 32;
/// Room for what arrives while the receiver does not run.
const BUFFER: usize = 8 << 20;

/// A stream in one direction. It ends when this is dropped.
#[derive(Debug)]
pub struct Stream {
    stop: Arc<AtomicBool>,
    sender: Option<JoinHandle<Result<(u64, Duration)>>>,
    receiver: Option<JoinHandle<Result<BTreeMap<u64, u32>>>>,
}

/// What came of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Datagrams sent.
    pub sent: u64,
    /// Numbers that did not arrive, in runs.
    pub lost: Vec<RangeInclusive<u64>>,
    /// How many arrived more than once.
    pub twice: usize,
    /// How long it took.
    pub took: Duration,
}

impl Arrived {
    /// How many did not arrive.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.lost.iter().map(|run| run.end() - run.start() + 1).sum()
    }
}

impl std::fmt::Display for Arrived {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { sent, lost, twice, took } = self;
        let rate = *sent as f64 / took.as_secs_f64();
        write!(f, "{sent} sent, {rate:.0} a second, {twice} twice, lost in {} runs", lost.len())?;
        lost.iter().take(5).try_for_each(|run| write!(f, " {run:?}"))
    }
}

impl Stream {
    /// From one host to another, at `rate` datagrams a second.
    ///
    /// # Errors
    /// When a socket cannot be made.
    pub fn start(from: (&Netns, IpAddr), to: (&Netns, IpAddr), rate: u32) -> Result<Self> {
        let receiver = to.0.run_in(|| bound(to.1))?;
        let sender = from.0.run_in(|| bound(from.1))?;
        sender.connect(receiver.local_addr()?).context("failed to connect the sender")?;
        let stop = Arc::new(AtomicBool::new(false));
        let (until, interval) = (stop.clone(), Duration::from_secs(1) / rate);
        Ok(Self {
            sender: Some(std::thread::spawn(move || send(&sender, interval, &until))),
            receiver: Some(std::thread::spawn(move || receive(&receiver))),
            stop,
        })
    }

    /// Ends it and waits for what is under way.
    ///
    /// # Errors
    /// When sending or receiving failed.
    pub fn finish(mut self) -> Result<Arrived> {
        self.stop.store(true, Ordering::Relaxed);
        let (sent, took) = joined(self.sender.take())?;
        let seen = joined(self.receiver.take())?;
        let twice = seen.values().filter(|count| **count > 1).count();
        Ok(Arrived { sent, lost: runs((0..sent).filter(|number| !seen.contains_key(number))), twice, took })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Rising numbers, those that follow each other as one.
fn runs(numbers: impl Iterator<Item = u64>) -> Vec<RangeInclusive<u64>> {
    let mut runs: Vec<RangeInclusive<u64>> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some(last) if last.end() + 1 == number => *last = *last.start()..=number,
            _ => runs.push(number..=number),
        }
    }
    runs
}

fn joined<T>(thread: Option<JoinHandle<Result<T>>>) -> Result<T> {
    match thread.context("the stream was finished before")?.join() {
        Ok(outcome) => outcome,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn bound(addr: IpAddr) -> Result<UdpSocket> {
    let socket =
        Socket::new(Domain::for_address(SocketAddr::new(addr, 0)), Type::DGRAM, Some(Protocol::UDP))?;
    // Beyond what the machine lets others have.
    setsockopt(&socket, sockopt::RcvBufForce, &BUFFER).context("failed to size the receive buffer")?;
    socket.bind(&SocketAddr::new(addr, 0).into()).with_context(|| format!("failed to bind to {addr}"))?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    Ok(socket.into())
}

/// The number behind the last one, sent a few times, says how many there were.
const END: u64 = 1 << 63;

fn send(socket: &UdpSocket, interval: Duration, stop: &AtomicBool) -> Result<(u64, Duration)> {
    let begun = Instant::now();
    let (mut number, mut next) = (0_u64, begun);
    while !stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        if now < next {
            // The pace itself: there is nothing to wait for.
            std::thread::sleep(next - now);
            continue;
        }
        if now - next > interval * BURST {
            next = now - interval * BURST;
        }
        socket.send(&number.to_be_bytes()).context("failed to send")?;
        (number, next) = (number + 1, next + interval);
    }
    let took = begun.elapsed();
    for _ in 0..5 {
        socket.send(&(END | number).to_be_bytes()).context("failed to send")?;
    }
    Ok((number, took))
}

/// How long the receiver waits for the first sign of life, or for the end.
const PATIENCE: Duration = Duration::from_secs(30);

fn receive(socket: &UdpSocket) -> Result<BTreeMap<u64, u32>> {
    let (mut seen, mut heard) = (BTreeMap::new(), Instant::now());
    let mut bytes = [0; 8];
    let mut end = None;
    loop {
        match socket.recv(&mut bytes) {
            Ok(length) => {
                ensure!(length == bytes.len(), "a datagram of {length} bytes arrived");
                let number = u64::from_be_bytes(bytes);
                heard = Instant::now();
                match number & END {
                    0 => *seen.entry(number).or_insert(0) += 1,
                    _ => end = Some(number ^ END),
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                // Behind the end only stragglers can come.
                if end.is_some() && heard.elapsed() > Duration::from_millis(300) {
                    return Ok(seen);
                }
                if heard.elapsed() > PATIENCE {
                    bail!("nothing arrived for {PATIENCE:?}; before that {} datagrams", seen.len());
                }
            }
            Err(error) => return Err(error).context("failed to receive"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_follow_each_other_are_one_run() {
        assert_eq!(runs([1, 2, 3, 7, 9, 10].into_iter()), [1..=3, 7..=7, 9..=10]);
        assert_eq!(runs(std::iter::empty()), []);
    }
}
