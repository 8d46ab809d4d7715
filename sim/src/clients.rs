//! Clients: what they have asked and were not yet told. Each asks again until it is answered, with the same request id.

use std::collections::BTreeMap;
use std::sync::Arc;

use sched::ids::RequestId;
use sched::spec::job::JobSpec;
use sched::step::Input;

use crate::controller::Ticket;

/// Calls that nobody has answered yet.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    calls: BTreeMap<Ticket, Call>,
    made: u64,
}

#[derive(Debug)]
struct Call {
    input: Input,
    tries: u32,
    /// It was told to come again, and has not yet.
    put_off: bool,
}

impl Clients {
    /// A new submit.
    pub(crate) fn submit(&mut self, spec: JobSpec) -> Ticket {
        let request = RequestId(u128::from(self.made) + 1);
        self.call(Input::Submit { request, spec: Arc::new(spec) })
    }

    /// A new call of any kind.
    pub(crate) fn call(&mut self, input: Input) -> Ticket {
        self.made += 1;
        self.calls.insert(self.made, Call { input, tries: 0, put_off: false });
        self.made
    }

    /// What to ask, and which try it is; `None` once it was answered.
    pub(crate) fn ask(&mut self, ticket: Ticket) -> Option<(Input, u32)> {
        let call = self.calls.get_mut(&ticket)?;
        call.tries += 1;
        call.put_off = false;
        Some((call.input.clone(), call.tries))
    }

    /// Nobody could answer it now; whether it comes again for that. However many tries are told so at once, it comes once.
    pub(crate) fn comes_again(&mut self, ticket: Ticket) -> bool {
        self.calls.get_mut(&ticket).is_some_and(|call| !std::mem::replace(&mut call.put_off, true))
    }

    /// Whether this try is the call's last so far, and it was not answered.
    pub(crate) fn waits(&self, ticket: Ticket, tries: u32) -> bool {
        self.calls.get(&ticket).is_some_and(|call| call.tries == tries)
    }

    /// A call was answered; answers what was asked.
    pub(crate) fn answered(&mut self, ticket: Ticket) -> Option<Input> {
        self.calls.remove(&ticket).map(|call| call.input)
    }

    /// Nobody waits any more for anything but submits.
    pub(crate) fn give_up_changes(&mut self) {
        self.calls.retain(|_, call| matches!(call.input, Input::Submit { .. }));
    }

    /// How many calls are unanswered.
    pub(crate) fn open_count(&self) -> usize {
        self.calls.len()
    }
}
