internal import AsyncHTTPClient
internal import Foundation
internal import Model
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix

/// An answer, as much of it as is read.
struct Reply: Sendable {
    var status: Int
    var body: [UInt8]

    /// The beginning of the body, on one line.
    var shown: String {
        let text = String(decoding: body.prefix(GateClient.Limit.shown), as: UTF8.self)
        let words = text.split { $0.isWhitespace || $0.unicodeScalars.contains { $0.value < 0x20 } }
        return words.isEmpty ? "an empty body" : "\"\(words.joined(separator: " "))\""
    }
}

/// Nobody answered, or not to the end.
struct NoReply: Error {
    var reason: String
}

extension GateClient {
    /// One request and its answer, the whole of it within `timeout`. Throws only `NoReply`.
    func exchange(
        _ request: HTTPClientRequest, timeout: Span, reading limit: Int
    ) async throws(NoReply) -> Reply {
        // The library's own deadline ends with the head of the answer; a body may take for ever.
        let first = await withTaskGroup { group in
            group.addTask { () -> Result<Reply, NoReply> in
                do throws(NoReply) {
                    return .success(try await send(request, timeout: timeout, reading: limit))
                } catch {
                    return .failure(error)
                }
            }
            group.addTask {
                try? await Task.sleep(for: timeout.duration)
                return .failure(NoReply(reason: "no whole answer within \(timeout)"))
            }
            let first = await group.next()!
            group.cancelAll()
            return first
        }
        return try first.get()
    }

    private func send(
        _ request: HTTPClientRequest, timeout: Span, reading limit: Int
    ) async throws(NoReply) -> Reply {
        var request = request
        request.headers.replaceOrAdd(name: "User-Agent", value: "kiln")
        do {
            let response = try await client.execute(
                request, timeout: .milliseconds(Int64(timeout.milliseconds)))
            var body: [UInt8] = []
            for try await part in response.body {
                body += part.readableBytesView.prefix(limit - body.count)
                if body.count == limit { break }
            }
            return Reply(status: Int(response.status.code), body: body)
        } catch is CancellationError {
            throw NoReply(reason: "the question was given up")
        } catch let error as HTTPClientError {
            throw NoReply(reason: words(for: error, timeout))
        } catch let error as NIOConnectionError {
            let refusal = error.connectionErrors.first.map { GateClient.words(for: $0.error) }
            throw NoReply(reason: "no connection: \(refusal ?? "the name is not known")")
        } catch let error as IOError {
            throw NoReply(reason: "no connection: \(GateClient.words(for: error))")
        } catch is HTTPParserError {
            throw NoReply(reason: "the answer is not whole")
        } catch {
            throw NoReply(reason: "\(error)")
        }
    }

    private static func words(for error: any Error) -> String {
        (error as? IOError).map { String(cString: strerror($0.errnoCode)) } ?? "\(error)"
    }

    private func words(for error: HTTPClientError, _ timeout: Span) -> String {
        switch error {
        case .connectTimeout: "no connection within \(min(timeout, patience.connect))"
        case .deadlineExceeded, .readTimeout: "no whole answer within \(timeout)"
        case .remoteConnectionClosed: "the answer is not whole"
        default: "\(error)"
        }
    }
}
