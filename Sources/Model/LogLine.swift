/// One line that an instance wrote.
package struct LogLine: Hashable, Sendable, Codable {
    package enum Stream: String, Hashable, Sendable, Codable { case out, err }

    package var at: Instant
    package var stream: Stream
    package var text: String

    package init(at: Instant, stream: Stream, text: String) {
        self.at = at
        self.stream = stream
        self.text = text
    }
}
