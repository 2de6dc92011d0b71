import Model
import Testing

@Suite struct AsciicastTests {
    @Test(arguments: ["ls\r\n", "\u{1B}[31mred\u{1B}[0m", "quote \" and \\ and \u{0}", "schön 🔥", ""])
    func `an event is one line of JSON, and reads back as it was`(text: String) throws {
        let event = Asciicast.Event(milliseconds: 61_007, kind: .output, text: text)
        let line = Asciicast.line(event)
        #expect(line.last == UInt8(ascii: "\n") && line.count { $0 == UInt8(ascii: "\n") } == 1)
        #expect(String(decoding: line, as: UTF8.self).hasPrefix("[61.007,\"o\",\""))
        #expect(Asciicast.event(line.dropLast()) == event)
    }

    @Test(arguments: [
        "", "{\"version\":2}", "[1.0]", "[x,\"o\",\"a\"]", "[-1,\"o\",\"a\"]", "[1,\"q\",\"a\"]",
        "[1,\"o\",2]",
    ])
    func `a line that is no event is none`(line: String) {
        #expect(Asciicast.event(Array(line.utf8)) == nil)
    }

    @Test func `the header says the version, the size and when it began`() {
        let header = Asciicast.header(
            columns: 99, rows: 30, at: Instant(milliseconds: 1_800_000_000_123), title: "a \"b\"",
            environment: ["TERM": "xterm"])
        #expect(
            String(decoding: header, as: UTF8.self)
                == "{\"env\":{\"TERM\":\"xterm\"},\"height\":30,\"timestamp\":1800000000,"
                + "\"title\":\"a \\\"b\\\"\",\"version\":2,\"width\":99}\n")
    }

    @Test(arguments: 1...9)
    func `text is the same however its bytes are cut`(size: Int) {
        let text = "ab schön € 🔥🔥 end"
        let bytes = Array(text.utf8)
        var stream = TextStream()
        var parts: [String] = []
        for start in stride(from: 0, to: bytes.count, by: size) {
            parts.append(stream.take(bytes[start..<min(start + size, bytes.count)]))
        }
        #expect((parts + [stream.end()]).joined() == text)
        #expect(!parts.joined().contains("\u{FFFD}"))
    }

    @Test(arguments: [[0xff], [0xe2, 0x82], [0x80, 0x80, 0x80, 0x80], [0xf0, 0x9f, 0x41]] as [[UInt8]])
    func `bytes that are no text are told as such, and never wait for ever`(bytes: [UInt8]) {
        var stream = TextStream()
        let text = stream.take(bytes) + stream.take(Array("!".utf8)) + stream.end()
        #expect(text.contains("\u{FFFD}") && text.hasSuffix("!"))
    }
}
