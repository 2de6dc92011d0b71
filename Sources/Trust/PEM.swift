internal import Model

/// One block of text armour (RFC 7468).
enum PEM {
    /// Longest text that is read.
    static let longest = 16 << 10

    static func encode(_ bytes: [UInt8], label: String) -> String {
        var rest = Base64.encode(bytes)[...]
        var text = "-----BEGIN \(label)-----\n"
        while !rest.isEmpty {
            text += rest.prefix(64) + "\n"
            rest = rest.dropFirst(64)
        }
        return text + "-----END \(label)-----\n"
    }

    /// The bytes of the only block, which must have this label; space around it does not matter.
    static func decode(_ text: String, label: String) throws -> [UInt8] {
        let lines = text.prefix(longest + 1).split(whereSeparator: \.isNewline).map {
            String($0).trimmed
        }.filter { !$0.isEmpty }
        guard text.utf8.count <= longest, lines.count >= 3, lines.first == "-----BEGIN \(label)-----",
            lines.last == "-----END \(label)-----",
            let bytes = Base64.decode(lines.dropFirst().dropLast().joined())
        else {
            throw Failure(
                .keyUnusable, "this is not one PEM block that begins with -----BEGIN \(label)-----",
                suggestion: "`openssl pkey -pubin -in FILE` shows what is in a file of keys")
        }
        return bytes
    }
}

extension String {
    fileprivate var trimmed: String {
        var text = self[...]
        while text.first?.isWhitespace ?? false { text.removeFirst() }
        while text.last?.isWhitespace ?? false { text.removeLast() }
        return String(text)
    }
}
