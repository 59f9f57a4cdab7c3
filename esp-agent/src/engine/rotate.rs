//! Rotations of keys: what an operator asks for, and what the clock brings.

use super::Engine;
use crate::control::{Answer, Call, Request, When};
use crate::failure::Failure;
use crate::plan::Observed;
use crate::rotation::{Deadline, Now, Timing, converge};
use std::time::Duration;

impl Engine {
    /// Does what was asked, and answers.
    pub(super) fn on_call(&mut self, call: Call) {
        let answer = match self.call(call.request) {
            Ok(text) => Answer { code: 0, text },
            Err(failure) => Answer { code: failure.code(), text: failure.to_string() },
        };
        match answer.code {
            0 => tracing::info!("{}", answer.text),
            _ => tracing::warn!("refused what was asked for: {}", answer.text),
        }
        if call.answer.send(answer).is_err() {
            tracing::debug!("whoever asked is gone");
        }
    }

    fn call(&mut self, request: Request) -> Result<String, Failure> {
        let now = self.now();
        match request {
            Request::Rotate { tunnel, local, keying, outbound, grace_ms } => {
                let outbound = match outbound {
                    When::Command => None,
                    When::At(ms) => Some(Deadline::at(ms)),
                    When::After(ms) => Some(Deadline::after(&now, Duration::from_millis(ms))),
                };
                let timing = Timing { outbound, grace: Duration::from_millis(grace_ms) };
                let begun = self.rotations.begin(&tunnel, local, *keying, timing, &self.config, &now)?;
                let before = self.config.clone();
                if let Err(failure) = self.rotate() {
                    (self.config, self.rotation_behind) = (before, true);
                    self.rotations.take_back(&tunnel, begun)?;
                    return Err(failure);
                }
                Ok(self.told(&tunnel))
            }
            Request::Switch { tunnel } => {
                self.rotations.switch(&tunnel, &now)?;
                self.rotate_or_later();
                Ok(self.told(&tunnel))
            }
            Request::Finish { tunnel } => {
                self.rotations.finish(&tunnel, &now)?;
                self.rotate_or_later();
                Ok(self.told(&tunnel))
            }
            Request::Cancel { tunnel } => {
                self.rotations.cancel(&tunnel)?;
                self.rotate_or_later();
                Ok(format!("the rotation of tunnel {tunnel} is given up: its keys are never taken again"))
            }
        }
    }

    fn told(&self, tunnel: &str) -> String {
        let row = self.rotations.rows().into_iter().find(|row| row.tunnel == tunnel);
        row.map(|row| row.to_string()).unwrap_or_default()
    }

    /// Moves rotations on whose time has come.
    pub(super) fn advance_rotations(&mut self) {
        match self.rotations.advance(&self.now()) {
            Ok(moved) if moved || self.rotation_behind => self.rotate_or_later(),
            Ok(_) => {}
            Err(error) => {
                self.rotation_behind = true;
                tracing::error!("a rotation of keys does not go on, it is tried again: {error}");
            }
        }
    }

    /// How long until the next phase of a rotation; `None` while none is to come. What failed is tried again with the
    /// next beat, and not in a circle.
    pub(super) fn rotation_wait(&self) -> Option<Duration> {
        if self.rotation_behind { None } else { self.rotations.wait(&self.now()) }
    }

    /// What was written down holds: the kernel is brought there now or later.
    fn rotate_or_later(&mut self) {
        let outcome = self.rotate();
        self.rotation_behind = outcome.is_err();
        match outcome {
            Ok(()) => {
                for row in self.rotations.rows() {
                    tracing::info!("{row}");
                }
            }
            Err(failure) => {
                tracing::error!("the kernel is behind the rotation of keys, it is tried again: {failure}");
            }
        }
    }

    /// Lets `status` see how far they are, without waiting for the next beat.
    pub(super) fn show_rotations(&self) -> Result<(), Failure> {
        let mut state = self.shared.state();
        state.rotations = self.rotations.rows();
        state.save(&self.instance).map_err(|error| Failure::Task("state file", error.into()))
    }

    fn rotate(&mut self) -> Result<(), Failure> {
        self.rotations.lay(&mut self.config);
        // The datapath knows an SA before the kernel has it: no packet of the peer is a stranger, and none of ours is
        // counted without its tunnel.
        self.shared.picture().name(&self.config);
        self.shared.picture().expect(&self.config);
        self.refresh()?;
        let outcome = converge(&self.rotations, &mut self.config, &mut self.xfrm, &mut self.record);
        let observed = match &outcome {
            Ok(observed) => observed.clone(),
            Err(_) => Observed::of(&mut self.xfrm)?,
        };
        self.take(observed)?;
        self.show_rotations()?;
        outcome.map(drop)
    }

    fn now(&self) -> Now {
        Now::read(&self.boot_id)
    }
}
