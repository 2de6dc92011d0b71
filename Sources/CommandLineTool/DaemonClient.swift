internal import Foundation
internal import Model
internal import WireAPI

/// Speaks to a daemon over HTTP on its socket.
struct DaemonClient: Sendable {
    let socket: String

    /// Longest silence, in seconds: a deploy may have to unpack an image first.
    static let patience = 300

    func get<Answer: Decodable>(_ path: String, as type: Answer.Type = Answer.self) async throws -> Answer {
        try await send("GET", path, body: nil)
    }

    func post<Answer: Decodable>(
        _ path: String, _ body: some Encodable, as type: Answer.Type = Answer.self
    ) async throws -> Answer {
        try await send("POST", path, body: try JSONEncoder().encode(body))
    }

    func delete<Answer: Decodable>(
        _ path: String, _ body: some Encodable, as type: Answer.Type = Answer.self
    ) async throws -> Answer {
        try await send("DELETE", path, body: try JSONEncoder().encode(body))
    }

    private func send<Answer: Decodable>(_ method: String, _ path: String, body: Data?) async throws -> Answer
    {
        let answer: DaemonSocket.Answer
        do {
            let wire = DaemonSocket(path: socket, patience: DaemonClient.patience)
            answer = try await wire.exchange(method, path, body: body)
        } catch DaemonSocket.Fault.system(let code) {
            var failure = Failure(
                .daemonUnreachable, "no daemon answers at \(socket)",
                suggestion: "start one: sudo kiln serve (with the same --root)")
            // That nobody listens is what it says already.
            if code != ENOENT, code != ECONNREFUSED { failure.cause = String(cString: strerror(code)) }
            throw failure
        } catch {
            throw notUnderstood(error)
        }
        guard answer.status == 200 else {
            if let told = try? JSONDecoder().decode(FailureAnswer.self, from: answer.body),
                !told.failures.isEmpty
            {
                throw Failures(told.failures)
            }
            throw Failure(.internalError, "the daemon answered \(answer.status) and said no more")
        }
        do { return try JSONDecoder().decode(Answer.self, from: answer.body) } catch {
            throw notUnderstood(error)
        }
    }

    private func notUnderstood(_ cause: any Error) -> Failure {
        Failure(
            .internalError, "the daemon's answer was not understood",
            suggestion: "are kiln and its daemon of the same version?", cause: cause)
    }
}
