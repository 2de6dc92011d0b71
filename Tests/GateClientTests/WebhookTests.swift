import Model
import NIOHTTP1
import Testing

@testable import GateClient

@Suite struct WebhookTests {
    private func call(_ site: WebSite, timeout: Span = .seconds(20)) async throws -> String {
        let check = try GateCheck.of(.webhook(url: site.url + "/hook?a=b"), timeout: timeout)
        return try await withGates { await $0.ask(check).text }
    }

    @Test func `a hook is told what is asked, with a key to tell a repetition by`() async throws {
        let site = try await WebSite(.text(204, ""))
        #expect(try await call(site) == "passed: \(site.url)/hook?a=b answered 204")
        let asked = try #require(site.asked.first)
        #expect(asked.method == "POST" && asked.uri == "/hook?a=b")
        #expect(asked.headers["Idempotency-Key"] == ["hello@staging/7/ask"])
        #expect(asked.headers["Content-Type"] == ["application/json"])
        #expect(
            asked.body
                == #"{"environment":"staging","gate":"ask","key":"hello@staging/7/ask","release":"r3","#
                + #""rollout":7,"service":"hello"}"#)
    }

    @Test(
        arguments: [
            (200, "passed"), (201, "passed"), (202, "unanswered"), (301, "unanswered"), (400, "failed"),
            (403, "failed"), (404, "failed"), (408, "unanswered"), (425, "unanswered"), (429, "unanswered"),
            (500, "unanswered"), (503, "unanswered"),
        ])
    func `a status is a yes, a no, or none yet`(_ status: Int, _ word: String) async throws {
        let site = try await WebSite(.text(status, "because"))
        let text = try await call(site)
        #expect(text.hasPrefix(word + ": "), "\(text)")
        if status == 403 { #expect(text == "failed: \(site.url)/hook?a=b answered 403, with \"because\"") }
    }

    @Test func `a hook that cannot be reached has not answered`() async throws {
        let site = try await WebSite(.text(200, ""))
        try await site.close()
        let text = try await call(site)
        #expect(
            text.hasPrefix("unanswered: POST \(site.url)/hook?a=b: no connection: Connection refused"),
            "\(text)")
        let silent = try await WebSite(.silence)
        #expect(try await call(silent, timeout: .milliseconds(200)).hasSuffix("no whole answer within 200ms"))
    }
}
