//! Numbered datagrams from a host behind server-b to client-a, each sent when the test wants it.

use super::{CLIENT_A, Lab};
use anyhow::Result;
use nix::sys::socket::{setsockopt, sockopt};
use std::{
    io::ErrorKind,
    net::{IpAddr, UdpSocket},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// Room for what arrives while nobody receives.
const BUFFER: usize = 8 << 20;

/// A socket at each end.
#[derive(Debug)]
pub struct Line {
    from: UdpSocket,
    to: UdpSocket,
}

impl Line {
    /// From one of client-b's addresses.
    ///
    /// # Errors
    /// When a socket cannot be made.
    pub fn new(lab: &Lab, from: IpAddr) -> Result<Self> {
        let to = lab.client_a.run_in(|| Ok(UdpSocket::bind((CLIENT_A[0], 0))?))?;
        to.set_read_timeout(Some(Duration::from_millis(200)))?;
        // Beyond what the machine lets others have.
        setsockopt(&to, sockopt::RcvBufForce, &BUFFER)?;
        let from = lab.client_b.run_in(|| Ok(UdpSocket::bind((from, 0))?))?;
        from.connect(to.local_addr()?)?;
        Ok(Self { from, to })
    }

    /// Sends one.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn send(&self, number: u64) -> Result<()> {
        Ok(self.from.send(&number.to_be_bytes()).map(drop)?)
    }

    /// All numbers that arrive, in their order, until `count` of them are there.
    ///
    /// # Errors
    /// When the socket fails.
    pub fn receive(&self, count: u64, stop: &AtomicBool) -> Result<Vec<u64>> {
        let (mut numbers, mut bytes) = (Vec::new(), [0; 8]);
        while !stop.load(Ordering::Relaxed) && (numbers.len() as u64) < count {
            match self.to.recv(&mut bytes) {
                Ok(_) => numbers.push(u64::from_be_bytes(bytes)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(numbers)
    }
}
