internal import Glibc
internal import Model
internal import Ports

/// An instance's log as conmon writes it, in the format of Kubernetes: `time stream tag text`, where tag F ends a
/// line and P is a part of one.
struct LogFile {
    let path: String

    /// How far back from its end a log is read at most.
    private static let readAtMost = 4 << 20

    /// The newest `count` lines, oldest first.
    func lines(_ count: Int) -> [LogLine] {
        guard count > 0 else { return [] }
        let file = Descriptor(open(path, O_RDONLY | O_CLOEXEC))
        guard file.number >= 0 else { return [] }
        let size = Int(lseek(file.number, 0, SEEK_END))
        let start = max(0, size - LogFile.readAtMost)
        lseek(file.number, off_t(start), SEEK_SET)
        let bytes = Files.read(file.number, limit: LogFile.readAtMost) ?? []
        var rows = bytes.split(separator: UInt8(ascii: "\n"))
        // Begun in the middle of a line.
        if start > 0, !rows.isEmpty { rows.removeFirst() }
        return Array(LogFile.parse(rows).suffix(count))
    }

    static func parse(_ rows: [ArraySlice<UInt8>]) -> [LogLine] {
        var lines: [LogLine] = []
        var parts: [LogLine.Stream: String] = [:]
        for row in rows {
            let fields = row.split(
                separator: UInt8(ascii: " "), maxSplits: 3, omittingEmptySubsequences: false)
            guard fields.count == 4, let time = time(String(decoding: fields[0], as: UTF8.self)) else {
                continue
            }
            let stream: LogLine.Stream = fields[1].elementsEqual("stderr".utf8) ? .err : .out
            let text = (parts.removeValue(forKey: stream) ?? "") + String(decoding: fields[3], as: UTF8.self)
            if fields[2].first == UInt8(ascii: "P") {
                parts[stream] = text
            } else {
                lines.append(LogLine(at: time, stream: stream, text: text))
            }
        }
        return lines
    }

    /// `2026-01-31T23:59:59.123456789+01:00` as a moment in UTC.
    private static func time(_ text: String) -> Instant? {
        let bytes = Array(text.utf8)
        guard bytes.count > 25 else { return Instant(text) }
        let zone = bytes.suffix(6)
        guard let sign = zone.first, sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-"),
            let local = Instant(String(decoding: bytes[..<23], as: UTF8.self) + "Z"),
            let hours = Int(String(decoding: zone.dropFirst().prefix(2), as: UTF8.self)),
            let minutes = Int(String(decoding: zone.suffix(2), as: UTF8.self))
        else { return nil }
        let offset = Span.milliseconds((hours * 60 + minutes) * 60_000)
        return sign == UInt8(ascii: "+") ? local + offset * -1 : local + offset
    }
}
