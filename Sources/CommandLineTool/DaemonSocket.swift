internal import Foundation
internal import Model
internal import Threads

/// One HTTP/1.1 exchange with a daemon on this host (RFC 9112). A general client brings threads, event loops and TLS up
/// first: most of the time that a small verb takes.
struct DaemonSocket: Sendable {
    let path: String
    /// Seconds that the daemon may be silent.
    let patience: Int

    struct Answer: Equatable {
        var status: Int
        var body: Data
    }

    /// What went wrong on the wire.
    enum Fault: Error {
        case system(Int32)
        case notUnderstood
        case tooLong
    }

    static let longestAnswer = 64 << 20
    private static let longestHead = 64 << 10

    /// Throws a `Fault`.
    func exchange(_ method: String, _ target: String, body: Data?) async throws -> Answer {
        let request = DaemonSocket.request(method, target, body: body)
        return try await Blocking.run { try exchangeNow(request) }
    }

    static func request(_ method: String, _ target: String, body: Data?) -> Data {
        var head = "\(method) \(target) HTTP/1.1\r\nHost: kiln\r\nConnection: close\r\n"
        if let body { head += "Content-Type: application/json\r\nContent-Length: \(body.count)\r\n" }
        return Data((head + "\r\n").utf8) + (body ?? Data())
    }

    private func exchangeNow(_ request: Data) throws -> Answer {
        let file = try connected()
        defer { close(file) }
        try request.withUnsafeBytes { bytes in
            var sent = 0
            while sent < bytes.count {
                let count = send(file, bytes.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { throw Fault.system(errno) }
                sent += count
            }
        }
        var received = Data()
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = recv(file, &buffer, buffer.count, 0)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Fault.system(errno) }
            received.append(contentsOf: buffer[..<count])
            if let answer = try DaemonSocket.answer(in: received, isWhole: count == 0) { return answer }
            guard count > 0 else { throw Fault.notUnderstood }
        }
    }

    /// An answer with a length of its own, or with all that came until the end; nil where more has to come.
    static func answer(in bytes: Data, isWhole: Bool) throws -> Answer? {
        guard let end = bytes.firstRange(of: Data("\r\n\r\n".utf8)) else {
            guard bytes.count <= longestHead else { throw Fault.notUnderstood }
            return nil
        }
        var lines = String(decoding: bytes[..<end.lowerBound], as: UTF8.self).components(separatedBy: "\r\n")
        let first = lines.removeFirst().split(separator: " ")
        guard first.count > 1, first[0].hasPrefix("HTTP/1."), let status = Int(first[1]) else {
            throw Fault.notUnderstood
        }
        var length: Int?
        for line in lines {
            let parts = line.split(separator: ":", maxSplits: 1)
            switch parts.first?.lowercased() {
            case "content-length":
                length = parts.count == 2 ? Int(parts[1].trimmingCharacters(in: .whitespaces)) : nil
                guard let length, length >= 0 else { throw Fault.notUnderstood }
            // The daemon knows every answer's length.
            case "transfer-encoding": throw Fault.notUnderstood
            default: continue
            }
        }
        let body = bytes[end.upperBound...]
        guard max(length ?? 0, body.count) <= longestAnswer else { throw Fault.tooLong }
        if let length {
            return body.count < length ? nil : Answer(status: status, body: Data(body.prefix(length)))
        }
        return isWhole ? Answer(status: status, body: Data(body)) : nil
    }

    /// An open connection. Throws a `Fault`.
    func connected() throws -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let name = Array(path.utf8)
        guard name.count < MemoryLayout.size(ofValue: address.sun_path) else {
            throw Fault.system(ENAMETOOLONG)
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
        let file = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard file >= 0 else { throw Fault.system(errno) }
        var limit = timeval(tv_sec: patience, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(file, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
        }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(file, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard result == 0 else {
            let code = errno
            close(file)
            throw Fault.system(code)
        }
        return file
    }
}
