import Testing

@testable import Model

@Suite struct QuantityTests {
    @Test(
        arguments: [
            ("250ms", 250), ("0s", 0), ("10s", 10_000), ("5m", 300_000), ("2h", 7_200_000),
            ("366d", 31_622_400_000),
        ])
    func `a span has one unit`(_ text: String, _ milliseconds: Int) {
        #expect(Span(text) == Span(milliseconds: milliseconds))
    }

    @Test(arguments: [
        "", "10", "s", "1.5s", "-1s", "+1s", "1 s", "1S", "367d", "99999999999999999999s", "٣s",
    ])
    func `what is not a span is refused`(_ text: String) { #expect(Span(text) == nil) }

    @Test(arguments: [0, 1, 999, 1000, 1500, 60_000, 90_000, 3_600_000, 86_400_000, 31_622_400_000])
    func `a span reads back what it writes`(_ milliseconds: Int) {
        let span = Span(milliseconds: milliseconds)
        #expect(Span(span.description) == span)
    }

    @Test(arguments: [
        ("0", 0), ("512", 512), ("1K", 1 << 10), ("64M", 64 << 20), ("2G", 2 << 30), ("1T", 1 << 40),
    ])
    func `sizes are powers of 1024`(_ text: String, _ bytes: Int) {
        #expect(ByteCount(text) == ByteCount(bytes: bytes))
        #expect(ByteCount(bytes: bytes).description == text)
    }

    @Test(arguments: ["", "M", "1.5G", "64MB", "64m", "-1", "9999999999T", " 1"])
    func `what is not a size is refused`(_ text: String) { #expect(ByteCount(text) == nil) }

    @Test func `a digest is 64 small hexadecimal digits`() throws {
        let hex = String(repeating: "0f", count: 32)
        #expect(try Digest(parsing: "sha256:" + hex) == Digest(hex: hex))
        #expect(try Digest(hex: hex).description == "sha256:" + hex)
        #expect(Digest(bytes: Array(repeating: 0x0f, count: 32)).hex == hex)
        for wrong in ["", "sha256:", String(hex.dropLast()), hex + "0", hex.uppercased(), "sha512:" + hex] {
            #expect(throws: Failure.self) { try Digest(parsing: wrong) }
        }
    }
}
