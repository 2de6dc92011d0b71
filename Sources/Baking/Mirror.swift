import AsyncHTTPClient
import Glibc
import Model
import NIOCore
import NIOHTTP1

/// Reads files from archives over HTTP, HTTPS or from a folder (`file:`).
struct Mirror: Sendable {
    enum Limit {
        /// Until the first bytes of an answer.
        static let answer = Span.seconds(30)
        /// Between two parts of an answer.
        static let silence = Span.seconds(30)
        /// The whole of one file.
        static let file = Span.seconds(1800)
    }

    /// Why a mirror did not give a file.
    enum Refusal: Error {
        /// It answered, and has no such file.
        case missing(String)
        /// It did not answer, or stopped in the middle: worth another try.
        case unreachable(String)
    }

    let client: HTTPClient

    /// A client of this process, which goes by a proxy where one is given.
    static func withClient<Result: Sendable>(
        proxy: ProxyAddress?, patience: Span = Limit.silence,
        _ body: @Sendable (Mirror) async throws -> Result
    ) async throws -> Result {
        var configuration = HTTPClient.Configuration()
        configuration.timeout.connect = .seconds(10)
        configuration.timeout.read = .milliseconds(Int64(patience.milliseconds))
        configuration.redirectConfiguration = .follow(max: 5, allowCycles: false)
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit =
            PackageFetcher.Limit.parallel
        configuration.proxy = proxy?.configuration
        let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        do {
            let result = try await body(Mirror(client: client))
            try await client.shutdown()
            return result
        } catch {
            try? await client.shutdown()
            throw error
        }
    }

    /// Gives the bytes of a file from `offset` on; tells first whether the mirror really begins there or at 0.
    func read(
        _ url: String, from offset: Int, begin: (_ offset: Int) throws -> Void,
        take: (UnsafeRawBufferPointer) throws -> Void
    ) async throws {
        if url.hasPrefix("file:") {
            try readFile(url, from: offset, begin: begin, take: take)
            return
        }
        var request = HTTPClientRequest(url: url)
        request.headers.add(name: "User-Agent", value: "kiln")
        if offset > 0 { request.headers.add(name: "Range", value: "bytes=\(offset)-") }
        let response: HTTPClientResponse
        do {
            response = try await client.execute(
                request, timeout: .milliseconds(Int64(Limit.file.milliseconds)))
        } catch let error as CancellationError {
            throw error
        } catch {
            throw Refusal.unreachable("\(error)")
        }
        switch response.status.code {
        case 200: try begin(0)
        case 206:
            let range = response.headers.first(name: "Content-Range") ?? ""
            guard range.hasPrefix("bytes \(offset)-") else {
                throw Refusal.unreachable("the mirror sent another part than asked for")
            }
            try begin(offset)
        case 404, 410, 403, 401: throw Refusal.missing("\(response.status)")
        case 416:
            // What we have of the file is not the beginning of theirs.
            throw Refusal.missing("\(response.status)")
        default: throw Refusal.unreachable("\(response.status)")
        }
        var body = response.body.makeAsyncIterator()
        while true {
            let part: ByteBuffer?
            do {
                part = try await body.next()
            } catch let error as CancellationError {
                throw error
            } catch {
                throw Refusal.unreachable("\(error)")
            }
            guard let part else { return }
            try part.withUnsafeReadableBytes { try take($0) }
        }
    }

    private func readFile(
        _ url: String, from offset: Int, begin: (Int) throws -> Void,
        take: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        let address = url.dropFirst("file:".count)
        let path = PercentText.decode(
            address.hasPrefix("//") ? String(address.dropFirst(2)) : String(address))
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Refusal.missing(String(cString: strerror(errno))) }
        defer { close(descriptor) }
        lseek(descriptor, off_t(offset), SEEK_SET)
        try begin(offset)
        var buffer = [UInt8](repeating: 0, count: 1 << 18)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Refusal.unreachable(String(cString: strerror(errno))) }
            if count == 0 { return }
            try buffer.withUnsafeBytes { try take(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
        }
    }
}
