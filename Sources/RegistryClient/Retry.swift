internal import Foundation
package import Model

/// Whether to ask a registry again after a failure, and when.
package struct RetryPolicy: Hashable, Sendable {
    /// How often one thing is asked for in all.
    package var tries = 6
    /// The same where there is not even a connection: a name that is wrong is more likely than a short absence.
    package var triesToConnect = 3
    /// The pause before the second try; each further one is twice as long.
    package var pause = Span.milliseconds(400)
    package var longestPause = Span.seconds(20)
    /// The longest `Retry-After` that is waited for; a registry that asks for more is told no.
    package var longestRequestedPause = Span.seconds(120)

    package init() {}

    package enum Trouble: Hashable, Sendable {
        /// No connection.
        case unreachable
        /// A connection that broke.
        case broken
        case status(Int, retryAfter: Span?)
    }

    package enum Decision: Hashable, Sendable {
        case retry(after: Span)
        case giveUp
    }

    /// Statuses that say "later" and not "no": RFC 9110, RFC 6585, and what proxies answer for a registry.
    static let passing: Set<Int> = [408, 425, 429, 500, 502, 503, 504]

    /// - Parameters:
    ///   - attempt: how many tries there were, 1 after the first
    ///   - jitter: 0..<1, so that many clients do not come back in the same moment
    package func decide(_ trouble: Trouble, attempt: Int, jitter: Double) -> Decision {
        guard attempt < (trouble == .unreachable ? triesToConnect : tries) else { return .giveUp }
        if case .status(let status, let retryAfter) = trouble {
            guard RetryPolicy.passing.contains(status) else { return .giveUp }
            if let retryAfter {
                return retryAfter <= longestRequestedPause ? .retry(after: max(retryAfter, .zero)) : .giveUp
            }
        }
        let doubled = pause * (1 << min(attempt - 1, 16))
        let whole = min(doubled, longestPause).milliseconds
        return .retry(after: .milliseconds(whole / 2 + Int(Double(whole / 2) * jitter)))
    }

    /// What a `Retry-After` header asks for: seconds, or a date as RFC 9110 prefers it; nil where it is neither.
    package static func retryAfter(_ header: String, now: Instant) -> Span? {
        let text = header.trimmingCharacters(in: .whitespaces)
        if !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
            // A number that no clock holds is longer than anybody waits.
            return Int(text).flatMap { $0 <= 1_000_000_000 ? .seconds($0) : nil } ?? .longest
        }
        let formatter = DateFormatter()
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.timeZone = TimeZone(secondsFromGMT: 0)
        formatter.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
        guard let date = formatter.date(from: text) else { return nil }
        let then = Instant(milliseconds: Int(date.timeIntervalSince1970 * 1000))
        return max(then - now, .zero)
    }
}
