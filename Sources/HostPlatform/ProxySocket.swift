internal import CLinux
internal import Glibc
internal import Model

/// HAProxy's runtime API: commands over a Unix socket (management guide, section 9.3).
struct ProxySocket: Sendable {
    let path: String

    /// HAProxy takes a line of up to its buffer size, 16 KiB.
    private static let lineAtMost = 8192
    private static let answerAtMost = 64 << 20

    /// Runs commands in order and returns what they said, with empty lines left out. Several go in one line, which
    /// HAProxy works off without a pause between them.
    @discardableResult
    func run(_ commands: [String]) throws -> [String] {
        var said: [String] = []
        var line = ""
        for command in commands {
            if !line.isEmpty, line.utf8.count + command.utf8.count > ProxySocket.lineAtMost {
                said += try ask(line).split(separator: "\n").map(String.init)
                line = ""
            }
            line += line.isEmpty ? command : ";" + command
        }
        if !line.isEmpty { said += try ask(line).split(separator: "\n").map(String.init) }
        return said
    }

    /// Sends one line and returns the whole answer.
    func ask(_ line: String) throws -> String {
        let file = Descriptor(socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0))
        var limit = timeval(tv_sec: Limit.proxyAnswer.milliseconds / 1000, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(file.number, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
        }
        guard ProxySocket.connect(file.number, to: path) else { throw unreachable(errno) }
        let bytes = Array((line + "\n").utf8)
        guard send(file.number, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
            throw unreachable(errno)
        }
        // The master's socket would otherwise sometimes wait for more.
        shutdown(file.number, Int32(SHUT_WR))
        // Every answer has a line; one that has none comes from a proxy that is just being killed.
        guard let answer = Files.read(file.number, limit: ProxySocket.answerAtMost), !answer.isEmpty else {
            throw unreachable(ECONNRESET)
        }
        return String(decoding: answer, as: UTF8.self)
    }

    private func unreachable(_ code: Int32) -> Failure {
        Failure(.commandFailed, "the proxy does not answer: \(SystemFailure.text(code))", at: path)
    }

    private static func connect(_ file: Int32, to path: String) -> Bool {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else {
            errno = ENAMETOOLONG
            return false
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(file, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
    }

    /// A word of a command: blanks and separators inside it are escaped.
    static func word(_ text: String) -> String {
        var word = ""
        for character in text {
            if "\\ ;\"'#<".contains(character) { word.append("\\") }
            word.append(character)
        }
        return word
    }
}
