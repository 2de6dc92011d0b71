package import Model

/// Where the shell gets the time from; rules are given it.
package protocol Clock: Sendable {
    var now: Instant { get }
    func sleep(for span: Span) async throws
}
