internal import AsyncHTTPClient
internal import Foundation
internal import Model

/// Asks every instance of the new release for one page.
struct HTTPGate: Sendable {
    var path: String
    var status: Int
    /// A text that the answer contains.
    var body: String?

    func ask(_ check: GateCheck, with client: GateClient) async -> GateAnswer {
        guard !check.targets.isEmpty else { return .unanswered(reason: "no instance can be asked") }
        let timeout = min(client.patience.answer, check.gate.timeout)
        var worst = GateAnswer.passed(
            detail: "\(counted(check.targets.count, "instance")) answered GET \(path) with \(status)"
                + (body == nil ? "" : " and the text"))
        await withTaskGroup { group in
            var waiting = check.targets[...]
            for _ in 0..<GateClient.Limit.atOnce {
                guard let target = waiting.popFirst() else { break }
                group.addTask { await ask(target, timeout, client) }
            }
            for await answer in group {
                worst = worse(worst, answer)
                // A clear no needs no second one.
                if case .failed = worst { return group.cancelAll() }
                if let target = waiting.popFirst() {
                    group.addTask { await ask(target, timeout, client) }
                }
            }
        }
        return worst
    }

    private func worse(_ first: GateAnswer, _ second: GateAnswer) -> GateAnswer {
        switch (first, second) {
        case (.failed, _), (_, .passed), (.unanswered, .unanswered): first
        case (_, .failed), (.passed, .unanswered): second
        }
    }

    private func ask(_ target: String, _ timeout: Span, _ client: GateClient) async -> GateAnswer {
        let place = "GET http://\(target)\(path)"
        let reply: Reply
        do {
            let request = HTTPClientRequest(url: "http://\(target)\(path)")
            reply = try await client.exchange(request, timeout: timeout, reading: GateClient.Limit.page)
        } catch {
            return .unanswered(reason: "\(place) was to answer \(status): \(error.reason)")
        }
        guard reply.status == status else {
            return .failed(
                reason: "\(place) was to answer \(status) and answered \(reply.status), with \(reply.shown)")
        }
        if let body, reply.body.firstRange(of: Array(body.utf8)) == nil {
            return .failed(
                reason: "\(place) was to answer with the text \"\(body)\" and answered with \(reply.shown)")
        }
        return .passed(detail: "")
    }
}
