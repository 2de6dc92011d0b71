import Model

// Texts that go into HTTP requests: addresses, header names and values.

extension Form where Value == String {
    /// The address of a server or of a hook on one.
    static func webAddress(example: String) -> Form {
        text(pattern: "^https?://[^/@]+.*$", example: example) { text in
            if text.utf8.count > Bounds.pathBytes { return "\(Bounds.pathBytes) bytes are the most" }
            let scheme = ["http://", "https://"].first { text.hasPrefix($0) } ?? ""
            let isPlain = text.utf8.allSatisfy { (0x21...0x7e).contains($0) && !"#\"'\\<>".utf8.contains($0) }
            let host = text.dropFirst(scheme.count).prefix { $0 != "/" && $0 != "?" }
            return scheme.isEmpty || host.isEmpty || !isPlain
                ? "an http:// or https:// address is needed" : nil
        }.map { address, line, label, problems in
            let host = address.drop { $0 != "/" }.dropFirst(2).prefix { $0 != "/" && $0 != "?" }
            // Not shown: it may hold a password.
            if host.contains("@") {
                problems.add(
                    "\(label.text) holds a user name or password", line: line,
                    suggestion: label.write(example) + ", and let a proxy of your own add them")
                return nil
            }
            return address
        }
    }

    /// The name of a header: a token of RFC 9110.
    static func headerName(example: String) -> Form {
        text(pattern: "^[A-Za-z0-9-]+$", example: example) { name in
            let isName =
                (1...Bounds.headerNameBytes).contains(name.utf8.count)
                && name.utf8.allSatisfy {
                    (0x30...0x39).contains($0) || (0x61...0x7a).contains($0 | 0x20) || $0 == 0x2d
                }
            return isName
                ? nil : "1 to \(Bounds.headerNameBytes) of A-Z, a-z, 0-9 and - are needed"
        }
    }

    /// A header's whole value.
    static func headerValue(example: String) -> Form {
        var form = Form<String>.anyText(example: example)
        let any = form.read
        form.read = { node, label, problems in
            guard let text = any(node, label, &problems) else { return nil }
            // These have a meaning of their own in the file that the proxy reads.
            let isSafe = text.utf8.allSatisfy { (0x20...0x7e).contains($0) && !"\"'\\#".utf8.contains($0) }
            let isTrimmed = !text.hasPrefix(" ") && !text.hasSuffix(" ")
            if (1...Bounds.headerValueBytes).contains(text.utf8.count), isSafe, isTrimmed { return text }
            problems.add(
                "\(label.text) is \(quoted(text)); 1 to \(Bounds.headerValueBytes) plain characters without "
                    + "quotes, # and \\ are needed",
                line: node.line, suggestion: label.write(example))
            return nil
        }
        return form
    }

    /// Text of up to so many bytes, which is not empty.
    static func someText(bytes: Int, example: String) -> Form {
        var form = Form<String>.anyText(example: example)
        let any = form.read
        form.read = { node, label, problems in
            guard let text = any(node, label, &problems) else { return nil }
            if (1...bytes).contains(text.utf8.count) { return text }
            problems.add(
                "\(label.text) has \(text.utf8.count) bytes; 1…\(bytes) are allowed", line: node.line,
                suggestion: label.write(example))
            return nil
        }
        return form
    }
}
