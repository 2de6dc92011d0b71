import Model

// Parts of a whole, written with %, and numbers with a decimal point. All are exact: none goes through
// floating point.

/// A number with at most so many decimals, as a count of its smallest unit.
enum FixedPoint {
    /// `0.05` with two decimals is 5. nil where it is no such number, or has more decimals.
    static func units(_ text: String, decimals: Int) -> Int? {
        let isNegative = text.hasPrefix("-")
        let parts = text.dropFirst(isNegative ? 1 : 0).split(separator: ".", omittingEmptySubsequences: false)
        let isDecimal = parts.allSatisfy { part in
            !part.isEmpty && part.utf8.allSatisfy { (0x30...0x39).contains($0) }
        }
        // YAML readers differ on what `010` means.
        let isPlain = parts[0] == "0" || !parts[0].hasPrefix("0")
        guard isDecimal, isPlain, (1...2).contains(parts.count), parts[0].count <= 12 else { return nil }
        let fraction = parts.count == 2 ? parts[1] : ""
        guard fraction.count <= decimals else { return nil }
        let digits = parts[0] + fraction + String(repeating: "0", count: decimals - fraction.count)
        return Int(digits).map { isNegative ? -$0 : $0 }
    }

    /// The shortest way to write `units`.
    static func text(_ units: Int, decimals: Int) -> String {
        let sign = units < 0 ? "-" : ""
        let digits = String(units.magnitude)
        let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
        var fraction = padded.suffix(decimals)
        while fraction.last == "0" { fraction.removeLast() }
        return sign + padded.dropLast(decimals) + (fraction.isEmpty ? "" : "." + fraction)
    }
}

extension Form where Value == Int {
    /// Whole per cent: `60%`.
    static func percent(_ range: ClosedRange<Int>, example: String) -> Form {
        share(range, decimals: 0, example: example)
    }

    /// Per cent with up to two decimals, as hundredths of a per cent: `0.1%` is 10.
    static func hundredthsOfPercent(_ range: ClosedRange<Int>, example: String) -> Form {
        share(range, decimals: 2, example: example)
    }

    private static func share(_ range: ClosedRange<Int>, decimals: Int, example: String) -> Form {
        let pattern = decimals == 0 ? "^[0-9]+%$" : "^[0-9]+(\\.[0-9]{1,\(decimals)})?%$"
        let schema: JSON = .object(["type": .text("string"), "pattern": .text(pattern)])
        let allowed =
            "\(FixedPoint.text(range.lowerBound, decimals: decimals))%…"
            + "\(FixedPoint.text(range.upperBound, decimals: decimals))% are allowed"
            + (decimals == 0 ? "" : ", with at most \(decimals) decimals")
        return Form(schema: schema, example: example) { node, label, problems in
            if case .scalar(let text, _) = node.content, text.hasSuffix("%"),
                let units = FixedPoint.units(String(text.dropLast()), decimals: decimals),
                range.contains(units)
            {
                return units
            }
            problems.add(
                "\(label.text) is \(written(node)); \(allowed)", line: node.line,
                suggestion: label.write(example))
            return nil
        }
    }

    /// A number with up to three decimals, as thousandths: `0.5` is 500.
    static func thousandths(_ range: ClosedRange<Int>, example: String) -> Form {
        let schema: JSON = .object([
            "type": .text("number"), "minimum": .integer(range.lowerBound / 1000),
            "maximum": .integer(range.upperBound / 1000),
        ])
        return Form(schema: schema, example: example) { node, label, problems in
            if case .scalar(let text, isQuoted: false) = node.content,
                let units = FixedPoint.units(text, decimals: 3), range.contains(units)
            {
                return units
            }
            problems.add(
                "\(label.text) is \(written(node)); a number with at most three decimals is needed",
                line: node.line, suggestion: label.write(example))
            return nil
        }
    }
}

extension Form where Value == Amount {
    /// A number of instances, or a part of the service's size.
    static func amount(_ range: ClosedRange<Int>, example: String) -> Form {
        let percent = max(range.lowerBound, Bounds.percent.lowerBound)...Bounds.percent.upperBound
        let schema: JSON = .object([
            "oneOf": .list([
                .object(["type": .text("string"), "pattern": .text("^[0-9]+%$")]),
                .object([
                    "type": .text("integer"), "minimum": .integer(range.lowerBound),
                    "maximum": .integer(range.upperBound),
                ]),
            ])
        ])
        return Form(schema: schema, example: example) { node, label, problems in
            if case .scalar(let text, let isQuoted) = node.content {
                let share = text.hasSuffix("%") ? FixedPoint.units(String(text.dropLast()), decimals: 0) : nil
                if let share, percent.contains(share) { return .percent(share) }
                let count = isQuoted ? nil : FixedPoint.units(text, decimals: 0)
                if let count, range.contains(count) { return .count(count) }
            }
            problems.add(
                "\(label.text) is \(written(node)); \(percent.lowerBound)%…\(percent.upperBound)%, or "
                    + "\(range.lowerBound)…\(range.upperBound) instances, are allowed",
                line: node.line, suggestion: label.write(example))
            return nil
        }
    }
}

/// A value, or `{}` for none.
struct Optionally<Value: Sendable>: Sendable {
    var value: Value?
}

extension Form {
    /// The same form, where `{}` says that there is no more to say.
    var orNothing: Form<Optionally<Value>> {
        let nothing: JSON = .object(["type": .text("object"), "maxProperties": .integer(0)])
        return Form<Optionally<Value>>(
            schema: .object(["oneOf": .list([schema, nothing])]), example: example
        ) { node, label, problems in
            switch node.content {
            case .mapping(let pairs) where pairs.isEmpty: return Optionally(value: nil)
            case .empty:
                problems.add(
                    "\(label.text) is empty", line: node.line,
                    suggestion: label.write(example) + ", or {}")
                return nil
            default: return read(node, label, &problems).map { Optionally(value: $0) }
            }
        }
    }
}
