internal import Foundation
internal import Model
internal import Synchronization

/// Steady HTTP load from blocking sockets, without retries: whatever is not a whole 200 counts as failed.
/// Half of the workers keep their connection, half open a new one for every request.
final class LoadGenerator: Sendable {
    struct Sample: Sendable {
        var startedAt: Instant
        var isFailed: Bool
        /// What the page said it was: `v1`, `v2`.
        var version: Substring
        var problem: String?
    }

    private let host: String
    private let port: Int
    private let isStopped = Atomic(false)
    private let samples = Mutex<[Sample]>([])
    private let running = Atomic(0)

    static let workers = 8
    /// A pause between requests, so that the load leaves the machine room to work.
    static let pauseMicroseconds: UInt32 = 1000
    static let requestTimeoutSeconds = 10
    /// Bounds the whole run, whatever becomes of its caller.
    static let longestRunSeconds = 300

    init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    func start() {
        for worker in 0..<LoadGenerator.workers {
            running.add(1, ordering: .relaxed)
            Thread.detachNewThread { [self] in
                work(keepsConnection: worker.isMultiple(of: 2))
                running.subtract(1, ordering: .relaxed)
            }
        }
    }

    /// Stops the load, lets requests in flight end, and gives every sample, oldest first.
    func stop() async throws -> [Sample] {
        isStopped.store(true, ordering: .relaxed)
        while running.load(ordering: .relaxed) > 0 { try await Task.sleep(for: .milliseconds(5)) }
        return samples.withLock { $0 }.sorted { $0.startedAt < $1.startedAt }
    }

    private func work(keepsConnection: Bool) {
        let end = now() + .seconds(LoadGenerator.longestRunSeconds)
        var connection: Int32?
        while !isStopped.load(ordering: .relaxed), now() < end {
            let begin = now()
            do {
                let file = try connection ?? connect()
                connection = nil
                let answer = try exchange(file, keepsConnection: keepsConnection)
                record(
                    Sample(
                        startedAt: begin, isFailed: !answer.isGood, version: answer.version,
                        problem: answer.problem))
                if keepsConnection, answer.staysOpen { connection = file } else { close(file) }
            } catch {
                record(Sample(startedAt: begin, isFailed: true, version: "", problem: "\(error)"))
            }
            usleep(LoadGenerator.pauseMicroseconds)
        }
        if let connection { close(connection) }
    }

    private func record(_ sample: Sample) { samples.withLock { $0.append(sample) } }

    private func now() -> Instant { Instant.fromClock }

    private struct Broken: Error, CustomStringConvertible { var description: String }

    private func connect() throws -> Int32 {
        let file = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = UInt16(port).bigEndian
        inet_pton(AF_INET, host, &address.sin_addr)
        var timeout = timeval(tv_sec: LoadGenerator.requestTimeoutSeconds, tv_usec: 0)
        setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Foundation.connect(file, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else {
            let problem = String(cString: strerror(errno))
            close(file)
            throw Broken(description: "connect: \(problem)")
        }
        return file
    }

    private struct Answer {
        var isGood: Bool
        var staysOpen: Bool
        var version: Substring
        var problem: String?
    }

    private func exchange(_ file: Int32, keepsConnection: Bool) throws -> Answer {
        let connection = keepsConnection ? "keep-alive" : "close"
        let request = "GET / HTTP/1.1\r\nHost: \(host):\(port)\r\nConnection: \(connection)\r\n\r\n"
        guard send(file, request, request.utf8.count, Int32(MSG_NOSIGNAL)) == request.utf8.count
        else {
            close(file)
            throw Broken(description: "send: \(String(cString: strerror(errno)))")
        }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while true {
            if let answer = Self.parse(bytes) { return answer }
            let count = recv(file, &buffer, buffer.count, 0)
            guard count > 0 else {
                close(file)
                let why = count == 0 ? "cut after \(bytes.count) bytes" : String(cString: strerror(errno))
                throw Broken(description: "receive: \(why)")
            }
            bytes += buffer[..<count]
        }
    }

    /// The answer, once all of it is there.
    private static func parse(_ bytes: [UInt8]) -> Answer? {
        let text = String(decoding: bytes, as: UTF8.self)
        guard let end = text.range(of: "\r\n\r\n") else { return nil }
        let head = text[..<end.lowerBound].lowercased()
        let length =
            head.components(separatedBy: "content-length:").dropFirst().first
            .flatMap { Int($0.prefix { $0 != "\r" && $0 != "\n" }.trimmingCharacters(in: .whitespaces)) } ?? 0
        let body = text[end.upperBound...]
        guard body.utf8.count >= length else { return nil }
        let isGood = head.hasPrefix("http/1.1 200")
        let version = body.range(of: "hello v").map { body[$0.upperBound...].prefix { $0.isNumber } } ?? ""
        return Answer(
            isGood: isGood, staysOpen: !head.contains("connection: close"), version: version,
            problem: isGood ? nil : String(head.prefix { $0 != "\r" }))
    }
}
