internal import AsyncHTTPClient
internal import Foundation
internal import ImageFormat
internal import Model
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import NIOSSL
internal import Synchronization

/// What goes with a request.
enum Payload: Sendable {
    case none
    case bytes([UInt8])
    /// A part of a blob, told to the meter as it goes.
    case blob(BlobBytes, Range<Int>, Meter)
}

/// Single requests over HTTP: no retries, no redirects, no credentials of its own.
final class Transport: Sendable {
    enum Limit {
        static let connect = TimeAmount.seconds(15)
        /// Nothing heard, or nothing taken, for so long: the connection is dead.
        static let silence = TimeAmount.seconds(90)
        static let connectionsPerHost = 8
        /// What goes to the connection at once.
        static let part = 512 << 10
        /// How much of an answer that says no is read.
        static let refusal = 64 << 10
    }

    let settings: RegistrySettings
    private let client: HTTPClient
    private let trust = Mutex<[WebAddress.Origin: TLSConfiguration]>([:])

    init(_ settings: RegistrySettings) {
        self.settings = settings
        var configuration = HTTPClient.Configuration()
        configuration.timeout.connect = Limit.connect
        configuration.timeout.read = Limit.silence
        configuration.timeout.write = Limit.silence
        configuration.redirectConfiguration = .disallow
        // Attempts are counted in one place, by the retry policy.
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = Limit.connectionsPerHost
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    func close() async throws { try await client.shutdown() }

    /// Throws `Failure` for what no retry mends, `NoAnswer` for a connection that failed.
    func execute(
        _ method: HTTPMethod, _ address: WebAddress, headers: HTTPHeaders, payload: Payload = .none
    ) async throws -> HTTPClientResponse {
        var request = HTTPClientRequest(url: address.whole)
        request.method = method
        request.headers = headers
        request.headers.replaceOrAdd(name: "User-Agent", value: "kiln")
        if address.origin.isSecure { request.tlsConfiguration = try tls(for: address.origin) }
        switch payload {
        case .none:
            // A POST without a body still says so: some servers wait for one.
            if method == .POST { request.body = .bytes(ByteBuffer()) }
        case .bytes(let bytes): request.body = .bytes(ByteBuffer(bytes: bytes))
        case .blob(let blob, let range, let meter):
            request.body = .stream(
                BlobParts(blob: blob, range: range, meter: meter), length: .known(Int64(range.count)))
        }
        do {
            return try await client.execute(request, deadline: .distantFuture)
        } catch let error as CancellationError {
            throw error
        } catch {
            try Task.checkCancellation()
            throw try NoAnswer.of(error, address.origin)
        }
    }

    private func tls(for origin: WebAddress.Origin) throws -> TLSConfiguration {
        if let known = trust.withLock({ $0[origin] }) { return known }
        var configuration = TLSConfiguration.makeClientConfiguration()
        func read<Value>(_ file: String, _ body: (String) throws -> Value) throws -> Value {
            do {
                return try body(file)
            } catch {
                throw Failure(
                    .invalidArgument, "this is not a readable PEM file", at: file,
                    suggestion: "name a file with certificates in PEM form")
            }
        }
        for file in settings.authorities(for: origin.host) {
            configuration.additionalTrustRoots.append(
                .certificates(try read(file) { try NIOSSLCertificate.fromPEMFile($0) }))
        }
        if let identity = settings.identity(for: origin.host) {
            configuration.certificateChain = try read(identity.certificate) {
                try NIOSSLCertificate.fromPEMFile($0).map { .certificate($0) }
            }
            configuration.privateKey = .privateKey(
                try read(identity.key) { try NIOSSLPrivateKey(file: $0, format: .pem) })
        }
        trust.withLock { [configuration] in $0[origin] = configuration }
        return configuration
    }
}

/// A connection that was not made, or broke.
struct NoAnswer: Error {
    var reason: String
    var isConnected = true

    static func of(_ error: any Error, _ origin: WebAddress.Origin) throws -> NoAnswer {
        if let tls = tlsTrouble(error) {
            // Trying again does not change a certificate.
            throw Failure(
                .registryUnreachable, "no trusted connection to \(origin): \(tls)",
                suggestion: "trust its authority with --ca FILE; where the registry speaks plain http, "
                    + "say --plain-http")
        }
        switch error {
        case let error as NIOConnectionError:
            let first = error.connectionErrors.first.map { words($0.error) }
            return NoAnswer(reason: first ?? "the name is not known", isConnected: false)
        case let error as HTTPClientError:
            return NoAnswer(reason: words(error), isConnected: error != .connectTimeout)
        default: return NoAnswer(reason: words(error))
        }
    }

    private static func words(_ error: HTTPClientError) -> String {
        switch error {
        case .connectTimeout: "no connection in time"
        case .readTimeout, .writeTimeout: "nothing was heard for too long"
        case .remoteConnectionClosed: "the connection was cut"
        default: "\(error)"
        }
    }

    private static func words(_ error: any Error) -> String {
        (error as? IOError).map { String(cString: strerror($0.errnoCode)) } ?? "\(error)"
    }

    private static func tlsTrouble(_ error: any Error) -> String? {
        switch error {
        case NIOSSLError.handshakeFailed(let reason):
            "\(reason)".contains("CERTIFICATE_VERIFY_FAILED")
                ? "its certificate is signed by nobody who is trusted" : "the TLS handshake failed"
        case is NIOSSLExtraError: "its certificate is for another name"
        default: nil
        }
    }
}

/// A part of a blob in pieces that a connection takes one after the other.
private struct BlobParts: AsyncSequence, Sendable {
    typealias Element = ByteBuffer
    let blob: BlobBytes
    let range: Range<Int>
    let meter: Meter

    struct AsyncIterator: AsyncIteratorProtocol {
        let parts: BlobParts
        var position: Int

        mutating func next() async -> ByteBuffer? {
            guard position < parts.range.upperBound else { return nil }
            let end = Swift.min(position + Transport.Limit.part, parts.range.upperBound)
            let piece = position..<end
            position = end
            parts.meter.advance(piece.count)
            return parts.blob.withBytes { ByteBuffer(bytes: UnsafeRawBufferPointer(rebasing: $0[piece])) }
        }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(parts: self, position: range.lowerBound) }
}
