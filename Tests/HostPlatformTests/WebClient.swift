import Glibc
import Synchronization

@testable import HostPlatform

/// A small HTTP client: one request at a time, over one connection or over many.
struct WebClient {
    struct Answer {
        var status: Int
        var body: String
    }

    /// nil where no whole answer came.
    static func get(
        _ address: String, _ port: Int, path: String = "/", header: String? = nil, method: String = "GET",
        seconds: Int = 300
    ) -> Answer? {
        guard let file = ask(address, port, path: path, header: header, method: method, seconds: seconds)
        else { return nil }
        guard let bytes = Files.read(file.number, limit: 1 << 20), bytes.count > 12 else { return nil }
        let text = String(decoding: bytes, as: UTF8.self)
        guard let status = Int(text.dropFirst(9).prefix(3)) else { return nil }
        return Answer(status: status, body: text.split(separator: "\r\n\r\n").dropFirst().joined())
    }

    /// The connection over which an answer will come; nil where none was made.
    static func ask(
        _ address: String, _ port: Int, path: String, header: String? = nil, method: String = "GET",
        seconds: Int = 300
    ) -> Descriptor? {
        let connection = Descriptor(
            socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0))
        let file = connection.number
        var limit = timeval(tv_sec: seconds, tv_usec: 0)
        setsockopt(file, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(file, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var target = sockaddr_in()
        target.sin_family = sa_family_t(AF_INET)
        target.sin_port = in_port_t(port).bigEndian
        inet_pton(AF_INET, address, &target.sin_addr)
        let isConnected = withUnsafePointer(to: &target) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(file, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        let request =
            "\(method) \(path) HTTP/1.1\r\nhost: test\r\nconnection: close\r\n"
            + (header.map { $0 + "\r\n" } ?? "") + "\r\n"
        guard isConnected, send(file, request, request.utf8.count, Int32(MSG_NOSIGNAL)) > 0 else {
            return nil
        }
        return connection
    }
}

/// Asks without a pause from a few threads until it is stopped, and counts.
final class WebLoad: Sendable {
    struct Counts: Sendable {
        var good: [String: Int] = [:]
        var bad: [String] = []
    }

    private let counts = Mutex(Counts())
    private let isStopped = Atomic<Bool>(false)
    private let threads: Int

    init(port: Int, threads: Int = 2) {
        self.threads = threads
        for _ in 0..<threads {
            Thread.start { [self] in
                while !isStopped.load(ordering: .relaxed) {
                    let answer = WebClient.get("127.0.0.1", port)
                    counts.withLock { counts in
                        if let answer, answer.status == 200 {
                            counts.good[answer.body, default: 0] += 1
                        } else {
                            counts.bad.append(answer.map { "status \($0.status)" } ?? "no answer")
                        }
                    }
                }
                ended.add(1, ordering: .sequentiallyConsistent)
            }
        }
    }

    private let ended = Atomic<Int>(0)

    var seen: Counts { counts.withLock { $0 } }

    func stop() async throws -> Counts {
        isStopped.store(true, ordering: .relaxed)
        while ended.load(ordering: .sequentiallyConsistent) < threads {
            try await Task.sleep(for: .milliseconds(5))
        }
        return seen
    }
}

enum Thread {
    static func start(_ body: @escaping @Sendable () -> Void) {
        final class Box {
            let body: @Sendable () -> Void
            init(_ body: @escaping @Sendable () -> Void) { self.body = body }
        }
        var thread = pthread_t()
        let box = Unmanaged.passRetained(Box(body))
        pthread_create(
            &thread, nil,
            { raw in
                Unmanaged<Box>.fromOpaque(raw!).takeRetainedValue().body()
                return nil
            }, box.toOpaque())
        pthread_detach(thread)
    }
}
