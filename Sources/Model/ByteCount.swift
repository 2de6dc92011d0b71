/// A number of bytes as the spec writes it: `64M`, `2G`, `512K` (powers of 1024) or plain bytes.
package struct ByteCount: Hashable, Sendable, Comparable, CustomStringConvertible {
    package var bytes: Int

    package init(bytes: Int) { self.bytes = bytes }

    private static let units: [(suffix: String, bytes: Int)] = [
        ("", 1), ("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30), ("T", 1 << 40),
    ]

    package init?(_ text: String) {
        let number = text.prefix { $0.isASCII && $0.isNumber }
        guard let count = Int(number),
            let unit = ByteCount.units.first(where: { $0.suffix == text.dropFirst(number.count) })
        else { return nil }
        let (product, overflows) = count.multipliedReportingOverflow(by: unit.bytes)
        guard !overflows else { return nil }
        bytes = product
    }

    package var description: String {
        for unit in ByteCount.units.reversed() where bytes != 0 && bytes.isMultiple(of: unit.bytes) {
            return "\(bytes / unit.bytes)\(unit.suffix)"
        }
        return "0"
    }

    package static func < (left: ByteCount, right: ByteCount) -> Bool { left.bytes < right.bytes }
}

extension ByteCount: Codable {
    package init(from decoder: any Decoder) throws {
        let text = try decoder.singleValueContainer().decode(String.self)
        guard let count = ByteCount(text) else {
            throw Failure(.invalidArgument, "\"\(text)\" is not a size", suggestion: "write 64M, 2G or 512K")
        }
        self = count
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
