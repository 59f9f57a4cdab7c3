//! From a reason to an action: the one place where it is decided what is dropped.

use esp_common::{Action, Mode, Reason, Settings};

/// The action on a packet that ended in `reason`, and the mode that was in force where a guard decided.
///
/// [`Reason::guard`] is total and [`Settings::effective`] never enforces on a picture that may be incomplete: a new
/// reason does not compile until its guard, or none, is written down.
#[inline(always)] // a call would spill what the caller counts with
#[must_use]
pub fn action(reason: Reason, settings: &Settings, now_ns: u64) -> (Action, Mode) {
    if reason.is_over_budget() {
        return (Action::Drop, Mode::Off);
    }
    let Some(guard) = reason.guard() else {
        return (Action::Pass, Mode::Off);
    };
    match settings.effective(guard, now_ns) {
        Mode::Enforce => (Action::Drop, Mode::Enforce),
        mode @ (Mode::Off | Mode::Observe) => (Action::Pass, mode),
    }
}
