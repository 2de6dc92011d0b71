import Model

// Numbers with bounds: how many, how long, how large.

extension Form where Value == Int {
    /// A whole number. `below` is advice for one that is too small.
    static func integer(_ range: ClosedRange<Int>, example: String, below: String? = nil) -> Form {
        let schema: JSON = .object([
            "type": .text("integer"), "minimum": .integer(range.lowerBound),
            "maximum": .integer(range.upperBound),
        ])
        return Form(schema: schema, example: example) { node, label, problems in
            let allowed =
                range.count == 1
                ? "\(range.lowerBound) is needed" : "\(range.lowerBound)…\(range.upperBound) are allowed"
            guard case .scalar(let text, let isQuoted) = node.content, !isQuoted, let digits = decimal(text)
            else {
                problems.add(
                    "\(label.text) is \(written(node)); \(allowed)", line: node.line,
                    suggestion: label.write(example) + ", a whole number without quotes")
                return nil
            }
            // A number too long for Int is out of any range.
            guard let value = Int(digits), range.contains(value) else {
                let isSmall = digits.hasPrefix("-") || (Int(digits) ?? .max) < range.lowerBound
                problems.add(
                    "\(label.text) is \(text.prefix(40)); \(allowed)", line: node.line,
                    suggestion: isSmall ? below ?? label.write(example) : label.write(example))
                return nil
            }
            return value
        }
    }

    /// Decimal digits with an optional minus, no leading zeros: YAML readers differ on what `010` means.
    private static func decimal(_ text: String) -> String? {
        let digits = text.hasPrefix("-") ? text.dropFirst() : text[...]
        let isPlain = digits.utf8.allSatisfy { (0x30...0x39).contains($0) }
        return isPlain && !digits.isEmpty && (digits == "0" || !digits.hasPrefix("0")) ? text : nil
    }

    /// Cores with up to three decimals, as thousandths of a core.
    static func milliCores(_ range: ClosedRange<Int>, example: String) -> Form {
        let schema: JSON = .object([
            "type": .text("number"), "minimum": .decimal(Double(range.lowerBound) / 1000),
            "maximum": .integer(range.upperBound / 1000),
        ])
        return Form(schema: schema, example: example) { node, label, problems in
            if case .scalar(let text, isQuoted: false) = node.content,
                let count = FixedPoint.units(text, decimals: 3),
                range.contains(count)
            {
                return count
            }
            let least = Double(range.lowerBound) / 1000
            problems.add(
                "\(label.text) is \(written(node)); \(least)…\(range.upperBound / 1000) cores are allowed, "
                    + "with at most three decimals",
                line: node.line, suggestion: label.write(example))
            return nil
        }
    }

    /// Permission bits in octal, whatever a YAML reader would make of the number: `0644`, `644`, `"0644"`,
    /// `0o644`.
    static func permissions(example: String) -> Form {
        let schema: JSON = .object([
            "oneOf": .list([
                .object(["type": .text("string"), "pattern": .text("^(0|0o)?[0-7]{3}$")]),
                .object(["type": .text("integer"), "minimum": .integer(0), "maximum": .integer(777)]),
            ])
        ])
        return Form(schema: schema, example: example) { node, label, problems in
            if case .scalar(let text, _) = node.content {
                let prefix = ["0o", "0"].first { text.hasPrefix($0) && text.count == $0.count + 3 } ?? ""
                let digits = text.dropFirst(prefix.count)
                let isOctal = digits.count == 3 && digits.utf8.allSatisfy { (0x30...0x37).contains($0) }
                if isOctal { return Int(digits, radix: 8) }
            }
            problems.add(
                "\(label.text) is \(written(node)); three octal digits are needed (read 4, write 2, "
                    + "execute 1 "
                    + "for owner, group and others)",
                line: node.line, suggestion: label.write(example))
            return nil
        }
    }
}

extension Form where Value == Span {
    /// A time with its unit.
    static func span(_ range: ClosedRange<Span>, example: String) -> Form {
        let schema: JSON = .object(["type": .text("string"), "pattern": .text("^[0-9]+(ms|s|m|h|d)$")])
        return Form(schema: schema, example: example) { node, label, problems in
            let allowed = "\(range.lowerBound)…\(range.upperBound) are allowed"
            guard case .scalar(let text, _) = node.content, let span = Span(text) else {
                problems.add(
                    "\(label.text) is \(written(node)); a time is needed", line: node.line,
                    suggestion: label.write(example) + " (a whole number and ms, s, m, h or d)")
                return nil
            }
            guard range.contains(span) else {
                problems.add(
                    "\(label.text) is \(span); \(allowed)", line: node.line, suggestion: label.write(example))
                return nil
            }
            return span
        }
    }
}

extension Form where Value == ByteCount {
    /// A size in bytes, with K, M, G or T for powers of 1024.
    static func size(_ range: ClosedRange<ByteCount>, example: String) -> Form {
        let schema: JSON = .object([
            "oneOf": .list([
                .object(["type": .text("string"), "pattern": .text("^[0-9]+[KMGT]?$")]),
                .object([
                    "type": .text("integer"), "minimum": .integer(range.lowerBound.bytes),
                    "maximum": .integer(range.upperBound.bytes),
                ]),
            ])
        ])
        return Form(schema: schema, example: example) { node, label, problems in
            guard case .scalar(let text, _) = node.content, let size = ByteCount(text) else {
                problems.add(
                    "\(label.text) is \(written(node)); a size is needed", line: node.line,
                    suggestion: label.write(example) + " (a whole number and K, M, G or T)")
                return nil
            }
            guard range.contains(size) else {
                problems.add(
                    "\(label.text) is \(size); \(range.lowerBound)…\(range.upperBound) are allowed",
                    line: node.line, suggestion: label.write(example))
                return nil
            }
            return size
        }
    }
}

/// What stands there, for a message.
func written(_ node: SpecNode) -> String {
    if case .scalar(let text, let isQuoted) = node.content {
        isQuoted || text.contains { $0.isWhitespace } ? quoted(text) : String(text.prefix(40))
    } else {
        node.kindName
    }
}
