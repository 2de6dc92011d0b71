internal import AsyncHTTPClient
internal import Foundation
internal import Model
internal import NIOHTTP1

/// What a hook is told.
private struct WebhookMessage: Encodable {
    var service: ServiceName
    var environment: EnvironmentName
    var release: ReleaseNumber
    var rollout: Int
    var gate: String
    var key: String
}

extension GateClient {
    /// Statuses of 4xx that say "later" and not "no" (RFC 9110, RFC 6585, RFC 8470).
    private static let later = [408, 425, 429]

    /// POSTs to a hook, with a key by which it can tell a repetition.
    func call(_ url: String, _ check: GateCheck) async -> GateAnswer {
        let message = WebhookMessage(
            service: check.key.service, environment: check.key.environment, release: check.release,
            rollout: check.rollout, gate: check.gate.name, key: check.idempotencyKey)
        let reply: Reply
        do {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            var request = HTTPClientRequest(url: url)
            request.method = .POST
            request.headers.add(name: "Content-Type", value: "application/json")
            request.headers.add(name: "Idempotency-Key", value: check.idempotencyKey)
            request.body = .bytes(try encoder.encode(message))
            reply = try await exchange(
                request, timeout: min(patience.hook, check.gate.timeout), reading: Limit.words)
        } catch let error as NoReply {
            return .unanswered(reason: "POST \(url): \(error.reason)")
        } catch {
            return .unanswered(reason: "POST \(url): \(error)")
        }
        switch reply.status {
        case 202: return .unanswered(reason: "\(url) has not decided yet (202)")
        case 200...299: return .passed(detail: "\(url) answered \(reply.status)")
        case let status where GateClient.later.contains(status):
            return .unanswered(reason: "\(url) asked to come later (\(status))")
        case 400...499:
            return .failed(reason: "\(url) answered \(reply.status), with \(reply.shown)")
        case 300...399:
            return .unanswered(reason: "\(url) answered \(reply.status), and redirects are not followed")
        default: return .unanswered(reason: "\(url) answered \(reply.status), with \(reply.shown)")
        }
    }
}
