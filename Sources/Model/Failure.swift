/// What a user is told when something cannot be done: a stable code, what, where, and what to do next.
package struct Failure: Error, Hashable, Sendable, Codable, CustomStringConvertible {
    /// Stable names: scripts match on them, so they are never renamed or reused.
    package enum Code: String, Hashable, Sendable, Codable, CaseIterable {
        case invalidSpec = "invalid-spec"
        case invalidArgument = "invalid-argument"
        case fileMissing = "file-missing"
        case packageUnknown = "package-unknown"
        case archiveUnreachable = "archive-unreachable"
        case badSignature = "bad-signature"
        case hashMismatch = "hash-mismatch"
        case corruptArchive = "corrupt-archive"
        case unsafePath = "unsafe-path"
        case diskFull = "disk-full"
        case portInUse = "port-in-use"
        case toolMissing = "tool-missing"
        case notPermitted = "not-permitted"
        case notFound = "not-found"
        case conflict = "conflict"
        case lockStale = "lock-stale"
        case daemonUnreachable = "daemon-unreachable"
        case launchFailed = "launch-failed"
        case rolloutFailed = "rollout-failed"
        case timedOut = "timed-out"
        case storeDamaged = "store-damaged"
        case commandFailed = "command-failed"
        case registryUnreachable = "registry-unreachable"
        case registryRefused = "registry-refused"
        case notSignedIn = "not-signed-in"
        case keyUnusable = "key-unusable"
        case malformedEvidence = "malformed-evidence"
        case notTrusted = "not-trusted"
        case logInconsistent = "log-inconsistent"
        case cancelled = "cancelled"
        case internalError = "internal-error"
    }

    package var code: Code
    package var message: String
    /// `file:line`, a path, a package or an instance; nil where the message says it all.
    package var place: String?
    package var suggestion: String?
    /// The text of the error underneath, when there is one.
    package var cause: String?

    package init(
        _ code: Code, _ message: String, at place: String? = nil, suggestion: String? = nil,
        cause: (any Error)? = nil
    ) {
        self.code = code
        self.message = message
        self.place = place
        self.suggestion = suggestion
        self.cause = cause.map { "\($0)" }
    }

    /// The same failure, blamed on `place` unless it already names a nearer one.
    package func at(_ place: String) -> Failure {
        var copy = self
        copy.place = copy.place ?? place
        return copy
    }

    package var description: String {
        var text = place.map { "\($0): \(message)" } ?? message
        if let cause { text += " (\(cause))" }
        if let suggestion { text += "\n  → \(suggestion)" }
        return text
    }

    /// 0 done · 1 the work failed and the world is as before · 2 the request was wrong · 3 nothing could be reached.
    package var exitCode: Int32 {
        switch code {
        case .invalidSpec, .invalidArgument, .fileMissing, .packageUnknown, .unsafePath, .notFound, .conflict:
            2
        case .daemonUnreachable, .registryUnreachable: 3
        default: 1
        }
    }
}

/// Several failures found in one look, so that a user mends them in one go.
package struct Failures: Error, Sendable, CustomStringConvertible {
    package let all: [Failure]

    package init(_ all: [Failure]) {
        precondition(!all.isEmpty, "an empty list of failures is a success")
        self.all = all
    }

    package var description: String { all.map(\.description).joined(separator: "\n") }
}

extension Failure {
    /// The failures inside any error, each fit to be shown.
    package static func list(_ error: any Error) -> [Failure] {
        switch error {
        case let failures as Failures: failures.all
        case let failure as Failure: [failure]
        case is CancellationError: [Failure(.cancelled, "stopped before the end")]
        default: [Failure(.internalError, "\(error)")]
        }
    }
}
