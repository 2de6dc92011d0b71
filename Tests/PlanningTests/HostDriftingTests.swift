import Model
import Planning
import Testing

/// What is told and put back of what all services share, over made-up times.
@Suite struct HostDriftingTests {
    private let begin = Instant(milliseconds: 1_800_000_000_000)

    private func drift(_ kind: Drift.Kind, _ subject: String) -> Drift {
        Drift(kind, subject, "\(subject) differs", source: .poll, at: begin)
    }

    /// What is done over looks of five seconds each, in which something is there or not.
    private func actions(_ drift: Drift, looks: Int, isThere: (Int) -> Bool) -> [HostDriftBook.Action] {
        var book = HostDriftBook()
        return (0..<looks).flatMap { look in
            book.take(isThere(look) ? [drift] : [], at: begin + .seconds(5 * look))
        }
    }

    @Test(arguments: [Drift.Kind.image, .host, .router, .tag])
    func `what comes and goes is told no more than once in an hour`(_ kind: Drift.Kind) {
        let day = 24 * 720
        let all = actions(drift(kind, "x"), looks: day) { $0.isMultiple(of: 2) }
        #expect((20...26).contains(all.count { if case .tell = $0 { true } else { false } }))
        let acts = all.count { if case .setRight = $0 { true } else { false } }
        #expect(acts <= 26 * Limits.driftRounds)
    }

    @Test func `what stays away for longer than that is new when it comes again`() {
        let all = actions(drift(.image, "x"), looks: 2000) { $0 == 0 || $0 == 1999 }
        #expect(all.count { if case .tell = $0 { true } else { false } } == 2)
    }

    @Test func `a setting of the host is told, and nobody tries to put it back`() {
        let all = actions(drift(.host, Drift.forwarding), looks: 100) { _ in true }
        #expect(all == [.tell(drift(.host, Drift.forwarding))])
        #expect(!drift(.host, Drift.forwarding).isPutBack && drift(.host, "bridge").isPutBack)
    }

    @Test func `a tag that was moved is told, and told to be over`() {
        let moved = drift(.tag, "registry.example/app:v1")
        let all = actions(moved, looks: 10) { $0 < 5 }
        #expect(all == [.tell(moved), .over(moved)])
    }
}
