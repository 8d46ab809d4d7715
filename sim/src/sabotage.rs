//! Defects that a run can be given on purpose, so that a test sees each checker catch what it is for.

/// One thing that is done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// The controller answers before its commit.
    RepliesEarly,
    /// The controller lets orders out before its commit.
    OrdersEarly,
    /// The controller believes reports and closings of any session.
    SessionsUnchecked,
    /// The controller counts a stop as the end of what it stops.
    CountsStopsAsEnds,
    /// The controller forgets exit codes.
    ForgetsExits,
    /// The controller stores a record again when it may be there already.
    StoresTwice,
    /// The journal loses its last record with a kill.
    LosesTail,
    /// The controller loses what it hears while its disk refuses, and keeps the links.
    KeepsLinksOverFailure,
    /// The controller takes a node for up whose link broke before its welcome.
    WelcomesTheDead,
    /// A noded comes back with new records, though its launcher still runs what it ran.
    ForgetsClaims,
    /// A noded asks its launcher before it has heard what that knows.
    AsksBeforeHello,
    /// The same, and the launcher starts an attempt whenever it is told to.
    LaunchesAgain,
    /// The controller lets what it has refused to resume go on all the same.
    ResumesRegardless,
    /// The controller starts what was requeued before its last attempt is known dead.
    RequeuesTheLiving,
    /// The controller takes back that tasks are done, and does not keep it.
    ForgetsUndone,
    /// The controller tells nobody to stop what has missed its deadline.
    ForgetsDeadlines,
    /// The controller takes a new limit of an array for none.
    ForgetsThrottles,
    /// The controller does not tell again of the signals that a node has missed.
    ForgetsSignals,
    /// The launcher forgets which signals it has heard.
    ForgetsNumbers,
    /// The controller counts a failure that is to be tried again as the end.
    ForgetsRetries,
    /// The launcher lets what is leased go on when the lease is over.
    OutlivesLease,
    /// The controller gives a silent node up before its lease is over.
    GivesUpEarly,
    /// A noded that stood still past its lease goes on with what it does itself.
    ForgetsLease,
}
