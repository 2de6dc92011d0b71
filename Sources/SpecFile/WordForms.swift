import Model

// Texts with a shape of their own: commands, variables, users, addresses.

extension Form where Value == [String] {
    /// A command line as a list of words. One text is a likely slip: the advice shows it split.
    static func command(example: String) -> Form {
        var form = Form<String>.anyText(example: "nginx").list(1...Bounds.words, example: example)
        let list = form.read
        form.read = { node, label, problems in
            if case .scalar(let text, _) = node.content {
                problems.add(
                    "\(label.text) is one text; a list of words is needed", line: node.line,
                    suggestion: label.write("[" + words(of: text).map(flow).joined(separator: ", ") + "]"))
                return nil
            }
            guard let words = list(node, label, &problems) else { return nil }
            guard !words[0].isEmpty else {
                problems.add(
                    "\(label.text) begins with an empty word; the program to run is needed", line: node.line,
                    suggestion: label.write(example))
                return nil
            }
            return words
        }
        return form
    }

    /// Splits at spaces outside quotes.
    private static func words(of text: String) -> [String] {
        var words: [String] = []
        var word: String?
        var quote: Character?
        for character in text {
            if character == quote {
                quote = nil
            } else if quote == nil, character == "\"" || character == "'" {
                quote = character
                word = word ?? ""
            } else if quote == nil, character.isWhitespace {
                word.map { words.append($0) }
                word = nil
            } else {
                word = (word ?? "") + String(character)
            }
        }
        return words + [word].compactMap(\.self)
    }

    /// A word as it stands in a YAML list in brackets.
    private static func flow(_ word: String) -> String {
        let isPlain =
            word.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x61...0x7a).contains($0 | 0x20) || "-_./;=+".utf8.contains($0)
            } && !word.isEmpty && word != "-"
        if isPlain { return word }
        return "\"" + word.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }

    /// Words in a list or, as deb822 has them, in one text with spaces between.
    static func wordList(
        _ what: String, example: String, check: @escaping @Sendable (String) -> String?
    ) -> Form {
        let word = Form<String>.text(example: what, check: check)
        let list = word.list(1...Bounds.sourceWords, example: example)
        let schema: JSON = .object([
            "oneOf": .list([.object(["type": .text("string")]), list.schema])
        ])
        return Form(schema: schema, example: example) { node, label, problems in
            guard case .scalar(let text, let isQuoted) = node.content else {
                return list.read(node, label, &problems)
            }
            let items = text.split(whereSeparator: \.isWhitespace).map {
                SpecNode(line: node.line, content: .scalar(String($0), isQuoted: isQuoted))
            }
            return list.read(SpecNode(line: node.line, content: .list(items)), label, &problems)
        }
    }
}

extension Form where Value == [Architecture] {
    /// One machine type, or a list of them, each once.
    static func oneOrSeveral(example: String) -> Form {
        let one = Form<Architecture>.choice(example: example)
        let list = one.located.list(1...Architecture.allCases.count, example: "[amd64, arm64]")
        let schema: JSON = .object(["oneOf": .list([one.schema, list.schema])])
        return Form(schema: schema, example: example) { node, label, problems in
            guard case .list = node.content else { return one.read(node, label, &problems).map { [$0] } }
            guard let entries = list.read(node, label, &problems) else { return nil }
            for (index, entry) in entries.enumerated()
            where entries[..<index].contains(where: { $0.value == entry.value }) {
                problems.add(
                    "\(label.text) has \(entry.value.rawValue) twice", line: entry.line,
                    suggestion: "keep one of the two")
            }
            return entries.map(\.value)
        }
    }
}

extension Form where Value == [String: String] {
    /// Environment variables. Values are texts as written, so `8080` and `true` need no quotes.
    static func variables(example: String) -> Form {
        let value = Form<String>.anyText(example: "value")
        let schema: JSON = .object([
            "type": .text("object"),
            "propertyNames": .object(["pattern": .text("^[A-Za-z_][A-Za-z0-9_]*$")]),
            "additionalProperties": value.schema,
            "maxProperties": .integer(Bounds.variables),
        ])
        return Form(schema: schema, example: example) { node, label, problems in
            guard case .mapping(let pairs) = node.content else {
                problems.add(
                    "\(label.text) is \(node.kindName); names with values are needed", line: node.line,
                    suggestion: label.write(example))
                return nil
            }
            guard pairs.count <= Bounds.variables else {
                problems.add(
                    "\(label.text) has \(pairs.count) entries; \(Bounds.variables) are the most",
                    line: node.line, suggestion: "put settings into a file under `files:`")
                return nil
            }
            var variables: [String: String] = [:]
            for pair in pairs {
                let bytes = pair.key.utf8
                let isName =
                    (1...Bounds.variableNameBytes).contains(bytes.count)
                    && bytes.allSatisfy {
                        (0x61...0x7a).contains($0 | 0x20) || $0 == 0x5f || (0x30...0x39).contains($0)
                    } && !(0x30...0x39).contains(bytes.first!)
                if !isName {
                    problems.add(
                        "\(quoted(pair.key)) is not the name of a variable", line: pair.line,
                        suggestion: "use A-Z, a-z, 0-9 and _, not beginning with a digit, at most "
                            + "\(Bounds.variableNameBytes)")
                }
                variables[pair.key] = value.read(pair.value, .key(pair.key), &problems)
            }
            return variables
        }
    }
}

extension Form where Value == String {
    /// A user of the image, by name or number.
    static func user(example: String) -> Form {
        text(pattern: "^([a-z_][a-z0-9_-]{0,31}|[0-9]{1,9})$", example: example) {
            AccountName.isValid($0) ? nil : "a user name or number of the image is needed"
        }.alsoNumber
    }

    /// `user` or `user:group`.
    static func owner(example: String) -> Form {
        let name = "([a-z_][a-z0-9_-]{0,31}|[0-9]{1,9})"
        return text(pattern: "^\(name)(:\(name))?$", example: example) { text in
            let names = text.split(separator: ":", omittingEmptySubsequences: false)
            return names.count <= 2 && names.allSatisfy { AccountName.isValid(String($0)) }
                ? nil : "user or user:group is needed, by name or number"
        }.alsoNumber
    }

    /// The same form for editors that see an unquoted number.
    private var alsoNumber: Form {
        var form = self
        form.schema = .object([
            "oneOf": .list([schema, .object(["type": .text("integer"), "minimum": .integer(0)])])
        ])
        return form
    }

    /// The path part of a probe's address.
    static func requestPath(example: String) -> Form {
        text(pattern: "^/[!-~]*$", example: example) { path in
            if path.utf8.count > Bounds.pathBytes { return "\(Bounds.pathBytes) bytes are the most" }
            let isPlain = path.utf8.allSatisfy { (0x21...0x7e).contains($0) }
            // These have a meaning of their own in the file that the proxy reads.
            let isSafe = !path.utf8.contains { "\"'\\#".utf8.contains($0) }
            return path.hasPrefix("/") && isPlain && isSafe
                ? nil : "a path that begins with / is needed, without spaces, quotes, # and \\"
        }
    }

    /// The address of a package archive.
    static func archiveAddress(example: String) -> Form {
        text(pattern: "^(https?|file)://[^@]*$", example: example) { text in
            let isAddress = ["http://", "https://", "file:///"].contains {
                text.hasPrefix($0) && text.utf8.count > $0.utf8.count
            }
            let isPlain = text.utf8.allSatisfy { (0x21...0x7e).contains($0) && !"?#\"'\\".utf8.contains($0) }
            if !isAddress || !isPlain || text.utf8.count > Bounds.pathBytes {
                return "an http://, https:// or file:// address is needed"
            }
            return nil
        }.map { address, line, label, problems in
            // Not shown: it may hold a password.
            if address.contains("@") {
                problems.add(
                    "\(label.text) holds a user name or password", line: line,
                    suggestion: label.write(example) + ", and let a mirror or proxy of your own add them")
                return nil
            }
            var address = address
            while address.hasSuffix("/") && !address.hasSuffix("//") { address.removeLast() }
            return address
        }
    }
}

private enum AccountName {
    static func isValid(_ text: String) -> Bool {
        let bytes = text.utf8
        guard let first = bytes.first else { return false }
        if (0x30...0x39).contains(first) {
            return bytes.count <= 9 && bytes.allSatisfy { (0x30...0x39).contains($0) }
        }
        return bytes.count <= 32 && ((0x61...0x7a).contains(first) || first == 0x5f)
            && bytes.allSatisfy {
                (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) || $0 == 0x5f || $0 == 0x2d
            }
    }
}
