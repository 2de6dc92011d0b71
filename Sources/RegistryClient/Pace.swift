import Model

/// Whether bytes come fast enough to be waited for. A connection that is never silent for long, and gives a byte now and
/// then, would otherwise be held for ever.
struct Pace: Sendable {
    enum Limit {
        /// Over which time the rate is taken: longer than a short trouble of the network.
        static let window = Span.seconds(120)
        /// The least that comes in it: about one KiB a second.
        static let leastBytes = 128 << 10
    }

    private var since: Instant
    private var bytes = 0

    init(now: Instant) { since = now }

    /// Counts bytes that came; false once a whole window went by with too few.
    mutating func holds(_ count: Int, now: Instant) -> Bool {
        bytes += count
        guard since + Limit.window <= now else { return true }
        defer { (since, bytes) = (now, 0) }
        return bytes >= Limit.leastBytes
    }
}
