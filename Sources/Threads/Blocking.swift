internal import Dispatch

/// Work that waits for a process, a disk or a lock, kept from the few threads that all other work shares.
package enum Blocking {
    /// Begins work that nobody waits for. Up to 255 at once, which is libdispatch's bound; others wait their turn.
    package static func begin(_ body: @escaping @Sendable () -> Void) {
        // A queue of its own gets a thread at once. One concurrent queue for all has as many threads as there are
        // processors, and is given one more each second: whatever waits there holds up all others.
        DispatchQueue(label: "kiln.blocking").async(execute: body)
    }

    package static func run<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws
        -> Result
    {
        try await withCheckedThrowingContinuation { continuation in
            begin { continuation.resume(with: Swift.Result(catching: body)) }
        }
    }
}
