/// A length of time as the spec writes it (`250ms`, `10s`, `5m`, `7d`), exact to the millisecond.
package struct Span: Hashable, Sendable, Comparable, CustomStringConvertible {
    package var milliseconds: Int

    package init(milliseconds: Int) { self.milliseconds = milliseconds }
    package static func milliseconds(_ count: Int) -> Span { Span(milliseconds: count) }
    package static func seconds(_ count: Int) -> Span { Span(milliseconds: count * 1000) }
    package static let zero = Span(milliseconds: 0)

    private static let units: [(suffix: String, milliseconds: Int)] = [
        ("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000),
    ]

    /// Longest span that a spec may hold: a year.
    package static let longest = Span(milliseconds: 366 * 86_400_000)

    /// Parses a whole number and a unit; at most a year.
    package init?(_ text: String) {
        let number = text.prefix { $0.isASCII && $0.isNumber }
        guard let count = Int(number),
            let unit = Span.units.first(where: { $0.suffix == text.dropFirst(number.count) })
        else { return nil }
        let (product, overflows) = count.multipliedReportingOverflow(by: unit.milliseconds)
        guard !overflows, product <= Span.longest.milliseconds else { return nil }
        milliseconds = product
    }

    package var description: String {
        for unit in Span.units.reversed()
        where milliseconds != 0 && milliseconds.isMultiple(of: unit.milliseconds) {
            return "\(milliseconds / unit.milliseconds)\(unit.suffix)"
        }
        return "0s"
    }

    package var duration: Duration { .milliseconds(milliseconds) }
    package static func < (left: Span, right: Span) -> Bool { left.milliseconds < right.milliseconds }
    package static func + (left: Span, right: Span) -> Span {
        Span(milliseconds: left.milliseconds + right.milliseconds)
    }
    package static func * (span: Span, factor: Int) -> Span { Span(milliseconds: span.milliseconds * factor) }
}

extension Span: Codable {
    package init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let span = Span(text) else {
            throw Failure(
                .invalidArgument, "\"\(text)\" is not a time", suggestion: "write 250ms, 10s, 5m, 2h or 7d")
        }
        self = span
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
