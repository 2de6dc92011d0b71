import Model
import RegistryClient
import Testing

@Suite struct RetryTests {
    @Test(arguments: [408, 425, 429, 500, 502, 503, 504]) func `what may pass is tried again`(status: Int) {
        let policy = RetryPolicy()
        #expect(policy.decide(.status(status, retryAfter: nil), attempt: 1, jitter: 0) != .giveUp)
        #expect(policy.decide(.status(status, retryAfter: nil), attempt: policy.tries, jitter: 0) == .giveUp)
    }

    @Test(arguments: [400, 401, 403, 404, 405, 409, 416, 501]) func `what will not pass is not`(status: Int) {
        #expect(RetryPolicy().decide(.status(status, retryAfter: nil), attempt: 1, jitter: 0) == .giveUp)
    }

    @Test(arguments: 1...5, [0, 0.5, 0.999])
    func `pauses double, differ by chance and stay below their bound`(
        attempt: Int, jitter: Double
    ) {
        var policy = RetryPolicy()
        policy.pause = .seconds(2)
        policy.longestPause = .seconds(10)
        let whole = min(2000 << (attempt - 1), 10_000)
        guard case .retry(let pause) = policy.decide(.broken, attempt: attempt, jitter: jitter) else {
            Issue.record("it gave up"); return
        }
        #expect((whole / 2...whole).contains(pause.milliseconds))
    }

    @Test func `what a registry asks for is waited, up to a bound`() {
        let policy = RetryPolicy()
        func decide(_ span: Span) -> RetryPolicy.Decision {
            policy.decide(.status(429, retryAfter: span), attempt: 1, jitter: 0.3)
        }
        #expect(decide(.seconds(7)) == .retry(after: .seconds(7)))
        #expect(decide(policy.longestRequestedPause) == .retry(after: policy.longestRequestedPause))
        #expect(decide(policy.longestRequestedPause + .milliseconds(1)) == .giveUp)
    }

    @Test func `nobody at all is asked less often than somebody who stumbles`() {
        let policy = RetryPolicy()
        #expect(policy.decide(.unreachable, attempt: policy.triesToConnect, jitter: 0) == .giveUp)
        #expect(policy.decide(.broken, attempt: policy.triesToConnect, jitter: 0) != .giveUp)
    }

    @Test(arguments: [
        ("0", Span.zero), ("120", .seconds(120)), (" 3 ", .seconds(3)),
        ("Wed, 21 Oct 2015 07:28:00 GMT", .seconds(28)), ("Wed, 21 Oct 2015 07:27:00 GMT", .zero),
        ("99999999999999999999999", .longest), ("-1", nil), ("soon", nil), ("", nil), ("1.5", nil),
    ]) func `Retry-After is seconds or a date`(header: String, expected: Span?) {
        let now = Instant("2015-10-21T07:27:32Z")!
        #expect(RetryPolicy.retryAfter(header, now: now) == expected)
    }
}
