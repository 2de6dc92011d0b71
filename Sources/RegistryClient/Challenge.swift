/// One way to prove who asks, as a `WWW-Authenticate` header offers it (RFC 9110, 11.6.1).
package struct Challenge: Hashable, Sendable {
    /// Lowercase: `basic`, `bearer`.
    package var scheme: String
    /// Names in lowercase.
    package var parameters: [String: String]

    package init(scheme: String, parameters: [String: String]) {
        self.scheme = scheme
        self.parameters = parameters
    }

    package enum Limit {
        package static let headerBytes = 8 << 10
        package static let parameters = 32
    }

    /// All challenges of a header that can be read; one header may hold several. What is damaged is left out.
    package static func parse(_ header: String) -> [Challenge] {
        var scanner = Scanner(Array(header.utf8.prefix(Limit.headerBytes)))
        var found: [Challenge] = []
        while true {
            scanner.skip { $0 == UInt8(ascii: ",") || Scanner.isSpace($0) }
            guard let scheme = scanner.token() else { return found }
            var challenge = Challenge(scheme: scheme.lowercased(), parameters: [:])
            while let (name, value) = scanner.parameter(), challenge.parameters.count < Limit.parameters {
                challenge.parameters[name.lowercased()] = value
            }
            found.append(challenge)
        }
    }

    private struct Scanner {
        private let bytes: [UInt8]
        private var position = 0

        init(_ bytes: [UInt8]) { self.bytes = bytes }

        static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

        mutating func skip(_ isSkipped: (UInt8) -> Bool) {
            while position < bytes.count, isSkipped(bytes[position]) { position += 1 }
        }

        mutating func token() -> String? {
            let start = position
            skip { byte in
                byte > 0x20 && byte < 0x7f && !"()<>@,;:\\\"/[]?={}".utf8.contains(byte)
            }
            return position > start ? String(decoding: bytes[start..<position], as: UTF8.self) : nil
        }

        /// `name=token` or `name="text"`, after spaces and commas; nil where another challenge begins.
        mutating func parameter() -> (String, String)? {
            let start = position
            skip { $0 == UInt8(ascii: ",") || Scanner.isSpace($0) }
            guard let name = token() else {
                position = start
                return nil
            }
            skip(Scanner.isSpace)
            guard position < bytes.count, bytes[position] == UInt8(ascii: "=") else {
                position = start
                return nil
            }
            position += 1
            skip(Scanner.isSpace)
            guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") else {
                return (name, token() ?? "")
            }
            position += 1
            var value: [UInt8] = []
            while position < bytes.count, bytes[position] != UInt8(ascii: "\"") {
                if bytes[position] == UInt8(ascii: "\\"), position + 1 < bytes.count { position += 1 }
                value.append(bytes[position])
                position += 1
            }
            if position < bytes.count { position += 1 }
            return (name, String(decoding: value, as: UTF8.self))
        }
    }
}
