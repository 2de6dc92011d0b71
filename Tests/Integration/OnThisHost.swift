import Testing

/// Everything that runs the whole program for real. One at a time: the tests share two cores and watch the clock of
/// real processes.
@Suite(.serialized) enum OnThisHost {}
