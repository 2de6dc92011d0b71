internal import Dispatch
internal import Foundation

/// Ctrl-C as a cancellation, so that what was half-made is taken back. A second one ends the program at once.
enum Interruption {
    static func cancelling<Result: Sendable>(
        _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        try await withThrowingTaskGroup(of: Result?.self) { group in
            let signals = AsyncStream<Void> { continuation in
                let watches = [SIGINT, SIGTERM].map { number in
                    signal(number, SIG_IGN)
                    let source = DispatchSource.makeSignalSource(signal: number)
                    source.setEventHandler {
                        signal(number, SIG_DFL)
                        continuation.yield()
                    }
                    source.activate()
                    return Watch(source: source)
                }
                continuation.onTermination = { _ in
                    watches.forEach { $0.source.cancel() }
                    for number in [SIGINT, SIGTERM] { signal(number, SIG_DFL) }
                }
            }
            group.addTask { try await body() }
            group.addTask {
                for await _ in signals { throw CancellationError() }
                return nil
            }
            defer { group.cancelAll() }
            while let result = try await group.next() {
                if let result { return result }
            }
            throw CancellationError()
        }
    }

    /// DispatchSource is thread-safe, and only cancelled after it was made.
    private struct Watch: @unchecked Sendable {
        let source: any DispatchSourceSignal
    }
}
