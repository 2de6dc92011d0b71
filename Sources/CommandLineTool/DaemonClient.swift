internal import AsyncHTTPClient
internal import Foundation
internal import Model
internal import NIOCore
internal import NIOHTTP1
internal import WireAPI

/// Speaks to a daemon over HTTP on its socket.
struct DaemonClient: Sendable {
    let socket: String
    private let client: HTTPClient

    /// Longest wait for an answer: a deploy may have to unpack an image first.
    static let patience = TimeAmount.seconds(300)
    static let longestAnswer = 64 << 20
    static let connectPatience = TimeAmount.seconds(5)

    init(socket: String) {
        self.socket = socket
        var configuration = HTTPClient.Configuration()
        configuration.timeout.connect = DaemonClient.connectPatience
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    func close() async throws { try await client.shutdown() }

    func get<Answer: Decodable>(_ path: String, as type: Answer.Type = Answer.self) async throws -> Answer {
        try await send(.GET, path, body: nil)
    }

    func post<Answer: Decodable>(
        _ path: String, _ body: some Encodable, as type: Answer.Type = Answer.self
    ) async throws -> Answer {
        try await send(.POST, path, body: try JSONEncoder().encode(body))
    }

    func delete<Answer: Decodable>(_ path: String, as type: Answer.Type = Answer.self) async throws -> Answer
    {
        try await send(.DELETE, path, body: nil)
    }

    private func send<Answer: Decodable>(_ method: HTTPMethod, _ path: String, body: Data?) async throws
        -> Answer
    {
        // The HTTP client would try again and again for seconds where nobody listens.
        guard isListening else { throw unreachable(nil) }
        let host = socket.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? socket
        var request = HTTPClientRequest(url: "http+unix://\(host)\(path)")
        request.method = method
        if let body {
            request.headers.add(name: "Content-Type", value: "application/json")
            request.body = .bytes(ByteBuffer(bytes: body))
        }
        let response: HTTPClientResponse
        do {
            response = try await client.execute(request, timeout: DaemonClient.patience)
        } catch let error as CancellationError {
            throw error
        } catch {
            throw unreachable(error)
        }
        let bytes = Data(try await response.body.collect(upTo: DaemonClient.longestAnswer).readableBytesView)
        if response.status != .ok {
            if let answer = try? JSONDecoder().decode(FailureAnswer.self, from: bytes),
                !answer.failures.isEmpty
            {
                throw Failures(answer.failures)
            }
            throw Failure(.internalError, "the daemon answered \(response.status.code) and said no more")
        }
        do {
            return try JSONDecoder().decode(Answer.self, from: bytes)
        } catch {
            throw Failure(
                .internalError, "the daemon's answer was not understood",
                suggestion: "are kiln and its daemon of the same version?", cause: error)
        }
    }

    private func unreachable(_ cause: (any Error)?) -> Failure {
        Failure(
            .daemonUnreachable, "no daemon answers at \(socket)",
            suggestion: "start one: sudo kiln serve (with the same --root)", cause: cause)
    }

    private var isListening: Bool {
        let file = Foundation.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        guard file >= 0 else { return false }
        defer { Foundation.close(file) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let path = Array(socket.utf8)
        guard path.count < MemoryLayout.size(ofValue: address.sun_path) else { return false }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path) }
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(file, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
    }
}
