internal import AsyncHTTPClient
internal import Foundation
package import Model
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix

/// Takes requests to witnesses.
package struct WitnessClient: Sendable {
    private let client: HTTPClient
    /// One whole exchange.
    private let patience: Span

    package static let patience = Span.seconds(10)
    private static let connectPatience = Span.seconds(5)

    package init(patience: Span = WitnessClient.patience) {
        self.patience = patience
        var configuration = HTTPClient.Configuration()
        configuration.timeout.connect = .milliseconds(Int64(WitnessClient.connectPatience.milliseconds))
        configuration.timeout.read = .milliseconds(Int64(patience.milliseconds))
        // What another address says is not what was asked for.
        configuration.redirectConfiguration = .disallow
        configuration.connectionPool.retryConnectionEstablishment = false
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    /// To be called once, when nobody asks any more.
    package func close() async throws { try await client.shutdown() }

    /// Asks once. Whatever goes wrong is an answer too.
    package func ask(_ witness: Witness, _ request: WitnessRequest) async -> WitnessAnswer {
        // The library's own deadline ends with the head of the answer; a body may take for ever.
        await withTaskGroup { group in
            group.addTask { await exchange(witness, request) }
            group.addTask {
                try? await Task.sleep(for: patience.duration)
                return .silent(reason: "no whole answer within \(patience)")
            }
            let first = await group.next()!
            group.cancelAll()
            return first
        }
    }

    private func exchange(_ witness: Witness, _ request: WitnessRequest) async -> WitnessAnswer {
        var post = HTTPClientRequest(url: witness.address + "/add-checkpoint")
        post.method = .POST
        post.headers.add(name: "User-Agent", value: "kiln")
        post.headers.add(name: "Content-Type", value: "text/plain; charset=utf-8")
        post.body = .bytes(request.bytes)
        do {
            let response = try await client.execute(
                post, timeout: .milliseconds(Int64(patience.milliseconds)))
            var body: [UInt8] = []
            for try await part in response.body {
                guard body.count + part.readableBytes <= WitnessRequest.Limit.answer else {
                    return .refused(reason: "its answer is longer than any that it could give")
                }
                body += part.readableBytesView
            }
            return request.answer(status: Int(response.status.code), body: body, by: witness)
        } catch {
            return .silent(reason: words(for: error))
        }
    }

    private func words(for error: any Error) -> String {
        switch error {
        case let error as HTTPClientError where error == .deadlineExceeded || error == .readTimeout:
            "no whole answer within \(patience)"
        case let error as HTTPClientError where error == .connectTimeout: "no connection in time"
        case let error as HTTPClientError where error == .remoteConnectionClosed: "the answer is not whole"
        case let error as IOError: "no connection: \(String(cString: strerror(error.errnoCode)))"
        case let error as NIOConnectionError:
            "no connection: "
                + ((error.connectionErrors.first?.error as? IOError).map {
                    String(cString: strerror($0.errnoCode))
                }
                    ?? "the name is not known")
        case is CancellationError: "the question was given up"
        default: "\(error)"
        }
    }
}
