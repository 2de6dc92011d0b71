/// What must hold at every step, or in the end, whatever happens.
package enum Law: String, Hashable, Sendable, CaseIterable {
    case capacity = "enough instances serve"
    case provenTraffic = "only proven instances take traffic"
    case twoReleases = "at most two releases take traffic"
    case oneRelease = "an instance keeps its release"
    case freshNames = "no name is used twice"
    case intentFirst = "nothing is done that is not stored"
    case drainedRemoval = "nothing is removed that takes traffic"
    case alone = "a recreate release never runs beside another"
    case surge = "no more run than the surge allows"
    case rolloutEnds = "a rollout ends within its deadlines"
    case taskOnce = "a gate's command is started once"
    case sameQuestion = "a gate's question keeps its key"
    case fixedPoint = "planning again decides nothing new"
    case boundedWait = "every wait has a bound"
    case generation = "the generation grows by one"
    case noReturnOfRollback = "a rollback is not rolled back"
    case settles = "calm brings what is intended"
    case oneCallAway = "the last good release is one call away"
    case expectation = "it ends as it should"
    case boundedFleet = "no release gets more than twice its size"
}

package struct Violation: Hashable, Sendable {
    package var law: Law
    package var text: String
    /// Milliseconds since the beginning.
    package var at: Int
}
