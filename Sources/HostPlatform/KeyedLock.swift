internal import Synchronization

/// Lets one task at a time work under each key, in the order in which they came.
final class KeyedLock<Key: Hashable & Sendable>: Sendable {
    private let waiters = Mutex<[Key: [CheckedContinuation<Void, Never>]]>([:])

    func locked<Result: Sendable>(_ key: Key, _ body: () async throws -> Result) async rethrows -> Result {
        await withCheckedContinuation { continuation in
            let isFree = waiters.withLock { waiters in
                if waiters[key] == nil {
                    waiters[key] = []
                    return true
                }
                waiters[key]?.append(continuation)
                return false
            }
            if isFree { continuation.resume() }
        }
        defer { unlock(key) }
        return try await body()
    }

    /// Does nothing and returns nil where somebody is at work under the key.
    func lockedIfFree<Result: Sendable>(
        _ key: Key, _ body: () async throws -> Result
    ) async rethrows -> Result? {
        let isFree = waiters.withLock { waiters in
            guard waiters[key] == nil else { return false }
            waiters[key] = []
            return true
        }
        guard isFree else { return nil }
        defer { unlock(key) }
        return try await body()
    }

    private func unlock(_ key: Key) {
        let next = waiters.withLock { waiters -> CheckedContinuation<Void, Never>? in
            guard waiters[key]?.isEmpty == false else {
                waiters[key] = nil
                return nil
            }
            return waiters[key]?.removeFirst()
        }
        next?.resume()
    }
}
