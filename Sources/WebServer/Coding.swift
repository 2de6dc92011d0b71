internal import Foundation
internal import HTTPTypes
internal import Hummingbird
internal import Model
internal import WireAPI

/// Bodies in and out: JSON with sorted keys, so that an answer can be compared as text.
enum Coding {
    /// A spec with all its files named is far smaller.
    static let longestBody = 4 << 20

    static func answer(_ value: some Encodable, status: HTTPResponse.Status = .ok) throws -> Response {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let body = try encoder.encode(value)
        return Response(
            status: status, headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: body)))
    }

    static func body<Value: Decodable>(_ type: Value.Type, of request: Request) async throws -> Value {
        guard let value = try await bodyIfAny(type, of: request) else {
            throw Failure(.invalidArgument, "the request has no body, and this path takes one")
        }
        return value
    }

    /// nil where the request has none.
    static func bodyIfAny<Value: Decodable>(
        _ type: Value.Type, of request: Request
    ) async throws -> Value? {
        let buffer = try await request.body.collect(upTo: longestBody)
        guard buffer.readableBytes > 0 else { return nil }
        do {
            return try JSONDecoder().decode(type, from: Data(buffer.readableBytesView))
        } catch {
            throw Failure(.invalidArgument, "the request's body is not what this path takes", cause: error)
        }
    }
}

/// Turns what handlers throw into answers, and lets nobody in who may not.
struct Gatekeeper: RouterMiddleware {
    /// Whether a request is one that others may make too; its handler asks whether they may.
    let isOpen: @Sendable (Request) -> Bool

    func handle(
        _ request: Request, context: PeerContext, next: (Request, PeerContext) async throws -> Response
    ) async throws -> Response {
        do {
            if !isOpen(request) { _ = try await context.operatorName() }
            return try await next(request, context)
        } catch let error as any HTTPResponseError {
            let failure = Failure(
                error.status == .notFound ? .notFound : .invalidArgument,
                "\(request.method) \(request.uri.path) is not part of this API")
            return try Coding.answer(FailureAnswer(failures: [failure]), status: error.status)
        } catch {
            let failures = Failure.list(error)
            return try Coding.answer(FailureAnswer(failures: failures), status: failures[0].httpStatus)
        }
    }
}

extension Failure {
    fileprivate var httpStatus: HTTPResponse.Status {
        switch code {
        case .notFound: .notFound
        case .conflict: .conflict
        case .notPermitted, .notTrusted: .forbidden
        case .malformedEvidence: .badRequest
        case _ where exitCode == 2: .badRequest
        default: .internalServerError
        }
    }
}
